// SPDX-License-Identifier: GPL-2.0-only
#include "labjson.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

__attribute__((format(printf, 2, 3))) static void put(struct json *j, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(j->buf + j->len, j->cap - j->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= j->cap - j->len)
		j->overflow = true;
	else
		j->len += (size_t)n;
}

/* What is put thousands of times a second under emulation goes without a format. */
static void put_bytes(struct json *j, const char *s, size_t len)
{
	if (len >= j->cap - j->len) {
		j->overflow = true;
		return;
	}
	memcpy(j->buf + j->len, s, len);
	j->len += len;
	j->buf[j->len] = 0;
}

static bool is_plain(unsigned char ch)
{
	return ch >= 0x20 && ch != '"' && ch != '\\';
}

static void put_text(struct json *j, const char *s)
{
	put_bytes(j, "\"", 1);
	while (*s) {
		size_t len = 0;

		while (is_plain((unsigned char)s[len]))
			len++;
		put_bytes(j, s, len);
		s += len;
		if (*s == '"' || *s == '\\')
			put(j, "\\%c", *s++);
		else if (*s)
			put(j, "\\u%04x", (unsigned char)*s++);
	}
	put_bytes(j, "\"", 1);
}

static void put_key(struct json *j, const char *key)
{
	if (j->len && j->buf[j->len - 1] != '{')
		put_bytes(j, ",", 1);
	put_text(j, key);
	put_bytes(j, ":", 1);
}

void json_start(struct json *j, char *buf, size_t cap, const char *event)
{
	uint64_t t = now_us();

	*j = (struct json){.buf = buf, .cap = cap};
	put(j, "{\"t\":%" PRIu64 ".%06" PRIu64, t / 1000000, t % 1000000);
	if (event)
		json_str(j, "event", event);
}

void json_str(struct json *j, const char *key, const char *value)
{
	if (!value)
		return;
	put_key(j, key);
	put_text(j, value);
}

void json_num(struct json *j, const char *key, int64_t value)
{
	char digits[20]; /* INT64_MIN and its sign fit */
	char *end = digits + sizeof(digits), *at = end;
	uint64_t left = value < 0 ? -(uint64_t)value : (uint64_t)value;

	do
		*--at = (char)('0' + left % 10);
	while (left /= 10);
	if (value < 0)
		*--at = '-';
	put_key(j, key);
	put_bytes(j, at, (size_t)(end - at));
}

void json_hex(struct json *j, const char *key, uint64_t value)
{
	put_key(j, key);
	put(j, "\"%016" PRIx64 "\"", value);
}

void json_open(struct json *j, const char *key)
{
	put_key(j, key);
	put_bytes(j, "{", 1);
}

void json_close(struct json *j)
{
	put_bytes(j, "}", 1);
}

void json_finish(struct json *j)
{
	put_bytes(j, "}\n", 2);
}

bool json_emit(const struct json *j)
{
	size_t done = 0;

	if (j->overflow)
		die(1, "a line did not fit into %zu bytes", j->cap);
	while (done < j->len) {
		ssize_t n = write(STDOUT_FILENO, j->buf + done, j->len - done);

		if (n < 0 && errno != EINTR)
			return false;
		done += n > 0 ? (size_t)n : 0;
	}
	return true;
}

void die(int status, const char *fmt, ...)
{
	static char text[2048], line[4096];
	struct json j;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_start(&j, line, sizeof(line), "error");
	json_str(&j, "message", text);
	json_finish(&j);
	if (!j.overflow)
		json_emit(&j);
	exit(status);
}
