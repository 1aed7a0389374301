// SPDX-License-Identifier: GPL-2.0-only
/* Does vmsplice keep a page, or copy it? A series that made it a copy was in linux-next for 7.2 and may return
 * (20260531010107.1953702-1): a client that "keeps" mapped pages by it would then keep copies, which are charged. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "zc-client.h"

enum { BEFORE = 'b', AFTER = 'a' };

/* What the pipe shows of a page that was written to after it went in; 0 when that cannot be tried. */
static char shown(char *page, const int ends[2])
{
	struct iovec iov = {page, PAGE};
	char seen = 0;

	memset(page, BEFORE, PAGE);
	if (vmsplice(ends[1], &iov, 1, SPLICE_F_NONBLOCK) != (ssize_t)PAGE)
		return 0;
	memset(page, AFTER, PAGE);
	return read(ends[0], &seen, 1) == 1 ? seen : 0;
}

const char *probe_vmsplice(void)
{
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ends[2];
	char seen;

	if (page == MAP_FAILED)
		return "unknown";
	if (pipe2(ends, O_CLOEXEC) < 0) {
		munmap(page, PAGE);
		return "unknown";
	}
	seen = shown(page, ends);
	close(ends[0]);
	close(ends[1]);
	munmap(page, PAGE);
	return seen == AFTER ? "keeps" : seen == BEFORE ? "copies" : "unknown";
}
