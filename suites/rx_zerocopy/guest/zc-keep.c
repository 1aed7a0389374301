// SPDX-License-Identifier: GPL-2.0-only
/* What a client keeps until it is told to let go: areas of address space, pipes full of pages, page frames. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "zc-client.h"

#define MAX_AREAS 8192u
#define MAX_PIPES 32768u
#define PIPE_BYTES (1 << 20)
#define PAGEMAP_PFN ((1ull << 55) - 1) /* Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_PRESENT (1ull << 63)
#define MAX_PFN (1ull << 28) /* 1 TiB; the bitmap costs memory only where frames are noted */
#define PAGEMAP_BATCH 512u
#ifndef MADV_POPULATE_WRITE /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

static struct area {
	char *at;
	size_t size;
} areas[MAX_AREAS];
static unsigned area_count;

static int pipes[MAX_PIPES]; /* read ends; they alone keep a full pipe alive */
static unsigned pipe_count;
static int pipe_in = -1; /* write end of the pipe being filled */
static bool pipe_fresh;	 /* nothing went into it yet */

static int pagemap_fd = -1;
static uint64_t *seen; /* one bit a page frame; NULL: frames cannot be told apart */
static uint64_t frames;

char *keep_area(int fd, size_t size)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;
	char *at;

	if (area_count == MAX_AREAS) {
		errno = ENOMEM;
		return NULL;
	}
	at = mmap(NULL, size, fd < 0 ? PROT_READ | PROT_WRITE : PROT_READ, flags, fd, 0);
	if (at == MAP_FAILED)
		return NULL;
	if (fd < 0) /* a huge page would be charged before its bytes have arrived */
		madvise(at, size, MADV_NOHUGEPAGE);
	areas[area_count++] = (struct area){at, size};
	return at;
}

char *keep_rooted_area(int fd)
{
	char *all = mmap(NULL, 2 * TABLE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), *at;

	if (all == MAP_FAILED || area_count == MAX_AREAS) {
		errno = ENOMEM;
		return NULL;
	}
	at = (char *)(((uintptr_t)all + TABLE - 1) & ~(TABLE - 1));
	if (mprotect(at, PAGE, PROT_READ | PROT_WRITE) < 0 ||
	    mmap(at + PAGE, ROOTED_AREA, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
		return NULL;
	*at = 1;
	areas[area_count++] = (struct area){at + PAGE, ROOTED_AREA};
	return at + PAGE;
}

static bool open_pipe(struct client *c)
{
	int ends[2];

	if (pipe_count == MAX_PIPES) {
		fail(c, "pipe2", EMFILE);
		return false;
	}
	if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0) {
		fail(c, "pipe2", errno);
		return false;
	}
	/* Refused to an ordinary user past pipe-user-pages-soft: a smaller pipe will do. */
	fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES);
	pipes[pipe_count++] = ends[0];
	pipe_in = ends[1];
	pipe_fresh = true;
	return true;
}

static void close_pipe_in(void)
{
	if (pipe_in >= 0)
		close(pipe_in);
	pipe_in = -1;
}

static void close_pipe(const int *ends)
{
	close(ends[0]);
	close(ends[1]);
}

/* A fresh pipe as large as ours, with all that `from` holds: by tee(2), or moved by splice(2). */
static bool hand_on(struct client *c, int from, int *to, bool tees)
{
	ssize_t n = 1;
	size_t done = 0;
	int queued = 0;

	if (ioctl(from, FIONREAD, &queued) < 0 || pipe2(to, O_NONBLOCK | O_CLOEXEC) < 0) {
		fail(c, "pipe2", errno);
		return false;
	}
	fcntl(to[1], F_SETPIPE_SZ, PIPE_BYTES);
	/* tee() starts from the front each time: one call or none. */
	while (n > 0 && done < (size_t)queued && !(tees && done)) {
		n = tees ? tee(from, to[1], (size_t)queued, SPLICE_F_NONBLOCK)
			 : splice(from, NULL, to[1], NULL, (size_t)queued - done, SPLICE_F_NONBLOCK);
		done += n > 0 ? (size_t)n : 0;
	}
	if (done == (size_t)queued)
		return true;
	fail(c, tees ? "tee" : "splice", n < 0 ? errno : EIO);
	close_pipe(to);
	return false;
}

/* The pages of the pipe just filled end up in a third pipe, and the first two are gone. */
static void hand_over(struct client *c)
{
	int first[2] = {pipes[pipe_count - 1], pipe_in}, second[2], third[2];

	if (!hand_on(c, first[0], second, true))
		return;
	if (hand_on(c, second[0], third, false)) {
		close_pipe(first);
		pipes[pipe_count - 1] = third[0];
		pipe_in = third[1];
	}
	close_pipe(second);
}

size_t keep_in_tees(struct client *c, char *from, size_t len)
{
	size_t done = 0, n;

	while (done < len) {
		n = keep_in_pipes(c, from + done, len - done < PIPE_BYTES ? len - done : PIPE_BYTES);
		done += n;
		if (!n || c->failure.call)
			break;
		hand_over(c);
		close_pipe_in();
	}
	return done;
}

size_t keep_in_pipes(struct client *c, char *from, size_t len)
{
	size_t done = 0;

	while (done < len) {
		struct iovec iov = {from + done, len - done};
		ssize_t n;

		if (pipe_in < 0 && !open_pipe(c))
			break;
		n = vmsplice(pipe_in, &iov, 1, SPLICE_F_NONBLOCK);
		if (n > 0) {
			done += (size_t)n;
			pipe_fresh = false;
		} else if (n < 0 && errno == EAGAIN && !pipe_fresh) {
			close_pipe_in(); /* full */
		} else if (n == 0 || errno != EINTR) {
			fail(c, "vmsplice", n ? errno : EIO);
			break;
		}
	}
	c->pinned += done;
	return done;
}

static void note_frame(uint64_t entry)
{
	uint64_t pfn = entry & PAGEMAP_PFN, bit;

	if (!(entry & PAGEMAP_PRESENT))
		return;
	if (seen && pfn && pfn < MAX_PFN) {
		bit = 1ull << pfn % 64;
		if (seen[pfn / 64] & bit)
			return;
		seen[pfn / 64] |= bit;
	}
	frames++;
}

size_t keep_frames(const char *from, size_t len)
{
	static uint64_t entries[PAGEMAP_BATCH];
	uint64_t page = (uintptr_t)from / PAGE, left = len / PAGE, there = 0, i;

	while (left) {
		uint64_t want = left < PAGEMAP_BATCH ? left : PAGEMAP_BATCH;
		ssize_t n = pread(pagemap_fd, entries, want * 8, (off_t)(page * 8));

		if (n <= 0) { /* no pagemap at all: every page counts as its own */
			frames += left;
			return (there + left) * PAGE;
		}
		for (i = 0; i < (uint64_t)n / 8; i++) {
			note_frame(entries[i]);
			there += !!(entries[i] & PAGEMAP_PRESENT);
		}
		page += (uint64_t)n / 8;
		left -= (uint64_t)n / 8;
	}
	return there * PAGE;
}

bool keep_sees_frames(void)
{
	return seen;
}

uint64_t keep_distinct(void)
{
	return frames * PAGE;
}

size_t keep_all_frames(void)
{
	size_t there = 0;
	unsigned i;

	for (i = 0; i < area_count; i++)
		there += keep_frames(areas[i].at, areas[i].size);
	return there;
}

bool keep_moved_area(char *at, size_t size)
{
	errno = ENOMEM;
	if (area_count == MAX_AREAS)
		return false;
	areas[area_count++] = (struct area){at, size};
	return true;
}

static bool is_area(unsigned long first)
{
	unsigned i;

	for (i = 0; i < area_count; i++)
		if (first >= (uintptr_t)areas[i].at && first < (uintptr_t)areas[i].at + areas[i].size)
			return true;
	return false;
}

uint64_t keep_resident(void)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long first, end, kib;
	uint64_t sum = 0;
	bool ours = false;
	char line[512];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &first, &end) == 2)
			ours = is_area(first);
		else if (ours && sscanf(line, "Rss: %lu kB", &kib) == 1)
			sum += kib * 1024;
	}
	if (f)
		fclose(f);
	return sum;
}

/* Page frames there may be: memory, and the hole below 4 GiB. */
static uint64_t pfn_end(void)
{
	uint64_t end = (uint64_t)sysconf(_SC_PHYS_PAGES) + (1ull << 32) / PAGE;

	return end < MAX_PFN ? end : MAX_PFN;
}

static void *make_bitmap(void)
{
	void *at = mmap(NULL, MAX_PFN / 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return NULL;
	madvise(at, MAX_PFN / 8, MADV_NOHUGEPAGE);
	return at;
}

void keep_prepare(bool ahead)
{
	struct rlimit many = {2 * MAX_PIPES, 2 * MAX_PIPES};
	uint64_t own = 0;

	/* A pipe a MiB needs more files than the usual 1024; an ordinary user gets what the hard limit allows. */
	if (setrlimit(RLIMIT_NOFILE, &many) < 0 && getrlimit(RLIMIT_NOFILE, &many) == 0) {
		many.rlim_cur = many.rlim_max;
		setrlimit(RLIMIT_NOFILE, &many);
	}
	pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	/* Without CAP_SYS_ADMIN the kernel shows frame number 0 for every page: try a page that is certainly there. */
	if (pread(pagemap_fd, &own, 8, (off_t)((uintptr_t)&own / PAGE * 8)) == 8 && (own & PAGEMAP_PFN))
		seen = make_bitmap();
	if (seen && ahead)
		madvise(seen, pfn_end() / 8, MADV_POPULATE_WRITE);
}

void keep_forget_frames(void)
{
	if (seen)
		madvise(seen, MAX_PFN / 8, MADV_DONTNEED);
	frames = 0;
}

void keep_nothing(void)
{
	unsigned i;

	/* A mapping holds its socket open, so areas go first. */
	for (i = 0; i < area_count; i++)
		munmap(areas[i].at, areas[i].size);
	area_count = 0;
	close_pipe_in();
	for (i = 0; i < pipe_count; i++)
		close(pipes[i]);
	pipe_count = 0;
	pin_nothing();
	keep_forget_frames();
}
