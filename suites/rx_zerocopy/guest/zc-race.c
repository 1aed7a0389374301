// SPDX-License-Identifier: GPL-2.0-only
/*
 * The behaviour `race`: what may become of a mapping happens all at once, on as
 * many CPUs as there are. One thread receives; another one unmaps what it
 * receives into; a third forks children that exit. A driver, which is a process
 * of its own in another cgroup, lowers the limit above the client's cgroup and
 * raises it again, and sends children through a cgroup that is removed behind them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guestproc.h"
#include "labjson.h"
#include "zc-client.h"

#define ROOM (128ul << 10)  /* above what is charged, when the limit is lowered */
#define LOW_US 30000	    /* so long the limit stays low */
#define PASS_US 20000	    /* and a child that is to be killed lives so long at most */
#define PASS_BYTES (256ul << 10)
#define NOW_PAGES 64ul	    /* what one call maps at most lies in so many pages from where it begins, mostly */

/* Shared with the driver. While the limit is low nobody allocates anything but pages that are received. */
static struct {
	_Atomic uint64_t unmapped, forked, passed, limited;
	atomic_bool low, forking, mapping, stop;
} *tally;

static pthread_t threads[2];
static pid_t driver;
static const char *driven_in;

/* --- receiving --- */

size_t take_racing(struct client *c, struct lane *l)
{
	static unsigned turn;
	struct tcp_zerocopy_receive zc = {.flags = turn++ % 2 ? TCP_RECEIVE_ZEROCOPY_FLAG_TLB_CLEAN_HINT : 0};
	socklen_t len = sizeof(zc);
	size_t room = window_room(c, l);

	if (!room)
		return 0;
	zc.address = (uintptr_t)(l->window + l->used);
	zc.length = (uint32_t)room;
	if (getsockopt(l->fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &len) < 0) {
		if (errno == EIO)
			return take_bounced(c, l, BOUNCE_SIZE);
		/* EINVAL: nothing is mapped there at this moment; ENOMEM: the limit is low */
		if (errno != EINVAL && errno != ENOMEM && errno != EBUSY) {
			fail(c, "TCP_ZEROCOPY_RECEIVE", errno);
			return 0;
		}
		c->refusals++;
		return take_bounced(c, l, PAGE);
	}
	took_mapped(c, l, zc.length);
	if (zc.err)
		fail(c, "TCP_ZEROCOPY_RECEIVE", zc.err < 0 ? -zc.err : zc.err);
	return zc.length + (zc.recv_skip_hint && !zc.err ? take_bounced(c, l, zc.recv_skip_hint) : 0);
}

/* What is mapped at a moment nobody can say. It is little. */
void settle_racing(struct client *c, struct lane *l)
{
	(void)l;
	c->mapped_now = 0;
}

/* --- the other threads --- */

/*
 * A part of a window: it is emptied, unmapped and mapped anew, or covered and mapped anew. Mostly the part that is
 * received into at this moment, and that only emptied: so pages go while they are being mapped.
 */
static void unmap_some(const struct lane *l, unsigned *dice)
{
	char *window = __atomic_load_n(&l->window, __ATOMIC_RELAXED), *at;
	size_t used = __atomic_load_n(&l->used, __ATOMIC_RELAXED);
	size_t pages = ROOTED_AREA / PAGE, first = used / PAGE % pages, len = NOW_PAGES;
	bool any = rand_r(dice) % 8 == 0;

	if (!window)
		return;
	if (any) {
		first = (size_t)rand_r(dice) % pages;
		len = 1 + (size_t)rand_r(dice) % (pages - first);
	}
	len = (len < pages - first ? len : pages - first) * PAGE;
	at = window + first * PAGE;
	atomic_store(&tally->mapping, true);
	switch (!any || atomic_load(&tally->low) ? 0 : rand_r(dice) % 4) {
	case 1:
		if (munmap(at, len) == 0)
			mmap(at, len, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, l->fd, 0);
		break;
	case 2:
		mmap(at, len, PROT_READ, MAP_SHARED | MAP_FIXED, l->fd, 0);
		break;
	default:
		madvise(at, len, MADV_DONTNEED);
	}
	atomic_store(&tally->mapping, false);
	atomic_fetch_add(&tally->unmapped, 1);
}

static void *unmap_all(void *arg)
{
	const struct client *c = arg;
	unsigned dice = 1, k;

	while (!atomic_load(&tally->stop))
		for (k = 0; k < c->lane_count; k++)
			unmap_some(&c->lanes[k], &dice);
	return NULL;
}

/* A child has the mapping too, and unmaps it by its exit. */
static void *fork_all(void *arg)
{
	pid_t child;

	(void)arg;
	while (!atomic_load(&tally->stop)) {
		atomic_store(&tally->forking, true);
		if (!atomic_load(&tally->low)) {
			child = fork();
			if (child == 0)
				_exit(0);
			if (child > 0 && waitpid(child, NULL, 0) == child)
				atomic_fetch_add(&tally->forked, 1);
		}
		atomic_store(&tally->forking, false);
		usleep(1000);
	}
	return NULL;
}

/* --- the driver --- */

static bool put(const char *dir, const char *file, const char *text)
{
	char path[512];
	int fd, n;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : (int)write(fd, text, strlen(text));
	if (fd >= 0)
		close(fd);
	return n > 0;
}

/* Lower, but not below what is charged already: that would call the OOM killer, who finds nobody. */
static void lower_limit(const char *cgroup)
{
	char above[512], path[640], text[64];

	atomic_store(&tally->low, true);
	while (atomic_load(&tally->forking) || atomic_load(&tally->mapping))
		usleep(100);
	snprintf(above, sizeof(above), "%s/..", cgroup);
	snprintf(path, sizeof(path), "%s/memory.current", above);
	if (slurp_at(AT_FDCWD, path, text, sizeof(text)) > 0) {
		snprintf(text, sizeof(text), "%llu", strtoull(text, NULL, 10) + ROOM);
		atomic_fetch_add(&tally->limited, put(above, "memory.max", text));
		usleep(LOW_US);
	}
	put(above, "memory.max", "max");
	atomic_store(&tally->low, false);
}

__attribute__((noreturn)) static void pass_through(const struct client *c, unsigned round, const char *in, const char *out,
						   int tell)
{
	int fd = c->lanes[round % c->lane_count].fd;
	struct tcp_zerocopy_receive zc;
	socklen_t len = sizeof(zc);
	char *window, byte = 0;
	size_t got = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	window = cgroup_join(in) < 0 ? MAP_FAILED : mmap(NULL, PASS_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	while (window != MAP_FAILED && got < PASS_BYTES) {
		zc = (struct tcp_zerocopy_receive){.address = (uintptr_t)(window + got),
						   .length = (uint32_t)(PASS_BYTES - got)};
		if (getsockopt(fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &len) < 0 || !zc.length)
			break; /* nothing (more) there: the next round has its turn */
		got += zc.length;
	}
	if (round % 2) /* it leaves with what it has, and the cgroup is removed while that goes */
		cgroup_join(out);
	if (write(tell, &byte, 1) == 1 && round % 2 == 0)
		pause();
	_exit(0);
}

/* A child receives in a cgroup of its own, and leaves it or is killed; the cgroup is removed at once. */
static void pass_one(const struct client *c, unsigned round, const char *in, const char *out, unsigned *dice)
{
	int ends[2];
	pid_t child;
	char byte;

	if ((mkdir(in, 0755) < 0 && errno != EEXIST) || pipe2(ends, O_CLOEXEC) < 0)
		return;
	child = fork();
	if (child == 0)
		pass_through(c, round, in, out, ends[1]);
	close(ends[1]);
	if (child > 0 && round % 4 == 2)
		usleep((useconds_t)rand_r(dice) % PASS_US); /* whatever it is about */
	else if (child > 0)
		while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
			;
	if (child > 0 && round % 2 == 0)
		kill(child, SIGKILL);
	while (round % 2 && rmdir(in) < 0 && errno == EBUSY)
		;
	if (child > 0)
		waitpid(child, NULL, 0);
	while (rmdir(in) < 0 && errno == EBUSY)
		usleep(100);
	close(ends[0]);
	atomic_fetch_add(&tally->passed, child > 0);
}

__attribute__((noreturn)) static void drive(const struct client *c, const char *dir)
{
	char in[512], out[512];
	unsigned round, dice = 2;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close_range(STDIN_FILENO, STDOUT_FILENO, 0);
	snprintf(in, sizeof(in), "%s/passing", dir);
	snprintf(out, sizeof(out), "%s/driver", dir);
	if (!put(dir, "cgroup.subtree_control", "+memory") || mkdir(out, 0755) < 0 || cgroup_join(out) < 0)
		_exit(1);
	for (round = 0;; round++) {
		pass_one(c, round, in, out, &dice);
		if (round % 8 == 0 && c->cgroup)
			lower_limit(c->cgroup);
	}
}

void race_begin(struct client *c, const char *dir)
{
	tally = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tally == MAP_FAILED)
		die(1, "mmap: %s", strerror(errno));
	driven_in = dir;
	driver = fork();
	if (driver < 0)
		die(1, "fork: %s", strerror(errno));
	if (driver == 0)
		drive(c, dir);
	if (pthread_create(&threads[0], NULL, unmap_all, c) || pthread_create(&threads[1], NULL, fork_all, c))
		die(1, "no threads");
}

void race_end(void)
{
	static const char *const left[] = {"passing", "driver"};
	char path[512];
	unsigned i, tries;

	if (!tally || atomic_exchange(&tally->stop, true))
		return;
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	kill(driver, SIGKILL);
	waitpid(driver, NULL, 0);
	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", driven_in, left[i]);
		for (tries = 0; tries < 1000 && rmdir(path) < 0 && errno == EBUSY; tries++)
			usleep(1000); /* the last child is told by the driver's death to go */
	}
}

void race_counters(struct json *j)
{
	json_num(j, "unmapped", tally ? (int64_t)atomic_load(&tally->unmapped) : 0);
	json_num(j, "forked", tally ? (int64_t)atomic_load(&tally->forked) : 0);
	json_num(j, "passed", tally ? (int64_t)atomic_load(&tally->passed) : 0);
	json_num(j, "limited", tally ? (int64_t)atomic_load(&tally->limited) : 0);
}
