// SPDX-License-Identifier: GPL-2.0-only
/*
 * A line of the lab's own in the kernel's log. A console that does not show it
 * was not heard; and the log itself says how many lines the console owes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guestproc.h"
#include "lab-telemetry.h"

#define MARK "lab-canary: "

/* Warnings reach the console at the log level that the guests boot with. */
static bool sing(const char *token)
{
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	char line[256];
	ssize_t n = -1;

	/* one write is one record; stdio would seek first, which this file refuses */
	snprintf(line, sizeof(line), "<4>" MARK "%s\n", token);
	if (fd >= 0) {
		n = write(fd, line, strlen(line));
		close(fd);
	}
	return n > 0;
}

/* Records below this level are printed; the first number of /proc/sys/kernel/printk. */
static long console_level(void)
{
	char text[64] = "";
	int fd = open("/proc/sys/kernel/printk", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = 0;
	close(fd);
	return strtol(text, NULL, 10);
}

/*
 * A newline inside a record is written as \x0a; the console begins a line of its own there, as long as the lines fit
 * into its buffer with a prefix each: record_print_text() of kernel/printk/printk.c drops the rest (CONSOLE_LOG_MAX is
 * 1024 in 6.1, where the report of a memcg's OOM kill is one record of 1.4 KiB; it is 2048 in 6.12). PREFIX is the
 * longest there is, so that the console owes these lines at least.
 */
#define CONSOLE_LOG_MAX 1024
#define PREFIX 48
static int64_t lines_of(const char *message)
{
	int64_t lines = 0;
	size_t used = PREFIX;

	for (;; message++, used++) {
		bool end = !*message || *message == '\n';

		if (!end && strncmp(message, "\\x0a", 4))
			continue;
		if (used >= CONSOLE_LOG_MAX)
			break;
		lines++;
		if (end)
			break;
		used += PREFIX;
		message += 3;
	}
	return lines ? lines : 1;
}

struct log {
	int64_t seq;   /* of the token's record; -1: not found */
	int64_t shown; /* lines for the console since the last canary with another token; -1: some are lost */
};

/* One record of /dev/kmsg, "PRIORITY,SEQUENCE,MICROSECONDS,FLAGS[,...];MESSAGE"; Documentation/ABI/testing/dev-kmsg. */
static void take_record(struct log *log, const char *record, const char *token, long level)
{
	const char *message = strchr(record, ';'), *at = strchr(record, ',');

	if (!message || !at || at > message)
		return;
	message++;
	if (strncmp(message, MARK, strlen(MARK))) {
		/* a continuation may or may not stand on a line of its own */
		if ((strtol(record, NULL, 10) & 7) < level && log->shown >= 0 && !memmem(record, message - record, ",c", 2))
			log->shown += lines_of(message);
		return;
	}
	message += strlen(MARK);
	if (!strncmp(message, token, strlen(token)) && message[strlen(token)] == '\n')
		log->seq = strtoll(at + 1, NULL, 10);
	else
		log->shown = 0;
}

static struct log read_log(const char *token)
{
	struct log log = { .seq = -1 };
	static char record[8 << 10];
	long level = console_level();
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ssize_t n;

	while (fd >= 0 && ((n = read(fd, record, sizeof(record) - 1)) > 0 || errno == EPIPE)) {
		if (n < 0) {
			log.shown = -1; /* overwritten before they were read */
			continue;
		}
		record[n] = 0;
		take_record(&log, record, token, level);
	}
	if (fd >= 0)
		close(fd);
	return log;
}

void sample_kmsg(struct json *j, const char *token)
{
	struct log log;

	if (!sing(token))
		return;
	log = read_log(token);
	if (log.seq < 0)
		return;
	json_open(j, "kmsg");
	json_str(j, "canary", token);
	json_num(j, "seq", log.seq);
	json_num(j, "shown", log.shown);
	json_close(j);
}
