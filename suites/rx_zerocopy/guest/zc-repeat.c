// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include "zc-repeat.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "labjson.h"
#include "pattern.h"

static unsigned char *buffer;
static int file = -1; /* the same bytes, where their pages are to be sent as they are */

unsigned char *repeat_prepare(size_t size, uint64_t seed, bool as_file)
{
	int fd = memfd_create("repeat", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		die(1, "memfd: %s", strerror(errno));
	buffer = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (buffer == MAP_FAILED)
		die(1, "mmap: %s", strerror(errno));
	pattern_fill(pattern_of(seed, 0), 0, buffer, size);
	if (as_file)
		file = fd;
	else
		close(fd);
	return buffer;
}

/* sendfile() hands the pages themselves to the NIC, where send() would allocate others, clear them and copy. */
ssize_t repeat_send(int to, size_t from, size_t n)
{
	off_t at = (off_t)from;

	return file >= 0 ? sendfile(to, file, &at, n) : send(to, buffer + from, n, MSG_NOSIGNAL);
}
