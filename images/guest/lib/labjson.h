/* SPDX-License-Identifier: GPL-2.0-only */
/* One JSON object a line: what every guest program says on standard output. */
#ifndef LABJSON_H
#define LABJSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json {
	char *buf;
	size_t cap;
	size_t len;
	bool overflow; /* the line did not fit; it must not be sent half */
};

uint64_t now_us(void); /* CLOCK_MONOTONIC */

/* Starts a line: {"t":seconds and, unless event is NULL, "event":event. */
void json_start(struct json *j, char *buf, size_t cap, const char *event);
void json_str(struct json *j, const char *key, const char *value); /* NULL: no such field */
void json_num(struct json *j, const char *key, int64_t value);
void json_hex(struct json *j, const char *key, uint64_t value); /* 16 hex digits in a string */
void json_open(struct json *j, const char *key);		 /* "key":{ */
void json_close(struct json *j);				 /* } */
void json_finish(struct json *j);				 /* ends the line */

/* Writes the whole line to standard output; false when nobody can read it any more. */
bool json_emit(const struct json *j);

/* The error event, then exit. */
__attribute__((noreturn, format(printf, 2, 3))) void die(int status, const char *fmt, ...);

#endif
