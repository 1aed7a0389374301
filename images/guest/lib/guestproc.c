// SPDX-License-Identifier: GPL-2.0-only
#include "guestproc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int spit(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err;
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	err = errno;
	close(fd);
	errno = err;
	return n < 0 ? -1 : 0;
}

int cgroup_join(const char *dir)
{
	char path[PATH_MAX];

	if ((size_t)snprintf(path, sizeof(path), "%s/cgroup.procs", dir) >= sizeof(path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	return spit(path, "0"); /* 0: the writer itself */
}

int oom_score_file(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	return fd;
}

int oom_score_set(int score)
{
	int fd = oom_score_file();
	char text[16];

	snprintf(text, sizeof(text), "%d", score);
	return fd < 0 || write(fd, text, strlen(text)) < 0 ? -1 : 0;
}

int oom_score_get(void)
{
	char text[16];

	return slurp_at(AT_FDCWD, "/proc/self/oom_score_adj", text, sizeof(text)) < 0 ? 0 : atoi(text);
}

ssize_t slurp_at(int dirfd, const char *path, char *buf, size_t cap)
{
	int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC), err;
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return -1;
	while ((n = read(fd, buf + len, cap - 1 - len)) > 0)
		len += (size_t)n;
	err = errno;
	close(fd);
	buf[len] = 0;
	errno = err;
	return n < 0 ? -1 : (ssize_t)len;
}
