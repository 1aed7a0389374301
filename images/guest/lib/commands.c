// SPDX-License-Identifier: GPL-2.0-only
#include "commands.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "labjson.h"

static char text[4096];

void commands_prepare(void)
{
	memset(text, '\n', sizeof(text));
}

void commands_read(void (*obey)(const char *command), void (*quit)(void))
{
	static size_t len;
	char *end;
	ssize_t n = read(STDIN_FILENO, text + len, sizeof(text) - len);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0)
		die(1, "cannot read a command: %s", strerror(errno));
	if (!n) {
		quit();
		return;
	}
	len += (size_t)n;
	while ((end = memchr(text, '\n', len))) {
		*end = 0;
		obey(text);
		len -= (size_t)(end + 1 - text);
		memmove(text, end + 1, len);
	}
	if (len == sizeof(text))
		die(1, "a command is longer than %zu bytes", sizeof(text));
}
