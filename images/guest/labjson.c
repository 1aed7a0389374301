#include "labjson.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
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

static void put_text(struct json *j, const char *s)
{
	put(j, "\"");
	for (; *s; s++) {
		unsigned char ch = (unsigned char)*s;

		if (ch == '"' || ch == '\\')
			put(j, "\\%c", ch);
		else if (ch < 0x20)
			put(j, "\\u%04x", ch);
		else
			put(j, "%c", ch);
	}
	put(j, "\"");
}

static void put_key(struct json *j, const char *key)
{
	if (j->len && j->buf[j->len - 1] != '{')
		put(j, ",");
	put_text(j, key);
	put(j, ":");
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
	put_key(j, key);
	put(j, "%" PRId64, value);
}

void json_hex(struct json *j, const char *key, uint64_t value)
{
	put_key(j, key);
	put(j, "\"%016" PRIx64 "\"", value);
}

void json_open(struct json *j, const char *key)
{
	put_key(j, key);
	put(j, "{");
}

void json_close(struct json *j)
{
	put(j, "}");
}

void json_finish(struct json *j)
{
	put(j, "}\n");
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
