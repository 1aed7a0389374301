// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ways to keep a page long after it was unmapped, besides a pipe: a child that
 * still maps it, a send that nobody acknowledges, a buffer of an io_uring.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guestproc.h"
#include "zc-client.h"

#define MAX_CHILDREN 1024u
#define MAX_PEERS 1024u
/* Notifications of MSG_ZEROCOPY are charged to the socket (net.core.optmem_max), so a socket takes only so much. */
#define PEER_BYTES (16ul << 20)
/* Little of PEER_BYTES may be acknowledged, but TCP makes no packet larger than half the window it was once offered. */
#define PEER_RCVBUF (128 << 10)
#define MAX_BUFFERS 16384u

static pid_t children[MAX_CHILDREN];
static unsigned child_count;

static struct peer {
	int out, in;
	size_t sent;
} peers[MAX_PEERS];
static unsigned peer_count;

static int ring = -1;
static unsigned buffer_count;

/* --- fork --- */

/* The pages are its own now: it goes when it is told, or when its parent does. */
__attribute__((noreturn)) static void keep_mapping(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close_range(0, ~0u, 0);
	if (getppid() != parent)
		_exit(1);
	for (;;)
		pause();
}

/* A child that keeps what is mapped, whatever becomes of us; only a signal ends it. */
bool leave_heir(void)
{
	pid_t heir = fork();

	if (heir == 0) {
		close_range(0, ~0u, 0);
		for (;;)
			pause();
	}
	return heir > 0;
}

/*
 * fork(), and then write "0" to the file, in the parent alone: only the child keeps a score that saves it from the OOM
 * killer. Nothing else may come in between, hence the registers: by then the parent shares its stack with the child, so
 * the next word on it is a page more, for which a cgroup at its limit would try for ever, with nobody it may kill.
 */
static pid_t fork_and_be_killable(int score_file)
{
	long child = SYS_fork;

	__asm__ volatile("syscall\n\t"
			 "test %0, %0\n\t"
			 "jz 1f\n\t"
			 "mov %0, %%r8\n\t"
			 "mov %4, %%eax\n\t"
			 "syscall\n\t"
			 "mov %%r8, %0\n"
			 "1:"
			 : "+a"(child)
			 : "D"((long)score_file), "S"("0"), "d"(1L), "i"(SYS_write)
			 : "rcx", "r8", "r11", "memory");
	if (child < 0)
		errno = (int)-child;
	return child < 0 ? -1 : (pid_t)child;
}

size_t pin_by_fork(struct client *c, char *from, size_t len)
{
	pid_t parent = getpid(), child;

	(void)from; /* the child has whatever is mapped */
	if (child_count == MAX_CHILDREN) {
		fail(c, "fork", EAGAIN);
		return 0;
	}
	/* Of the two the OOM killer should take the parent, which counts, and whose end ends the children. */
	oom_score_set(-1000);
	child = fork_and_be_killable(oom_score_file());
	if (child == 0)
		keep_mapping(parent);
	if (child < 0) {
		fail(c, "fork", errno);
		return 0;
	}
	children[child_count++] = child;
	c->pinned += len;
	return len;
}

/* --- MSG_ZEROCOPY --- */

static int local_listener(struct sockaddr_in *at)
{
	socklen_t size = sizeof(*at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = PEER_RCVBUF;

	*at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	/* Inherited by what it accepts: next to nothing may be acknowledged. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) == 0 &&
	    bind(fd, (struct sockaddr *)at, sizeof(*at)) == 0 && listen(fd, 1) == 0 &&
	    getsockname(fd, (struct sockaddr *)at, &size) == 0)
		return fd;
	close(fd);
	return -1;
}

/* A connection whose other end never reads. What is sent stays in the write queue, and its pages with it. */
static bool open_peer(struct client *c)
{
	struct peer *p = &peers[peer_count];
	struct sockaddr_in at;
	int fd = local_listener(&at), on = 1, size = 2 * PEER_BYTES;

	p->sent = 0;
	p->in = -1;
	p->out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && peer_count < MAX_PEERS && setsockopt(p->out, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)) == 0 &&
	    connect(p->out, (struct sockaddr *)&at, sizeof(at)) == 0 && (p->in = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		if (setsockopt(p->out, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
			setsockopt(p->out, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		close(fd);
		peer_count++;
		return true;
	}
	fail(c, "a socket with SO_ZEROCOPY", peer_count < MAX_PEERS ? errno : EMFILE);
	close(fd);
	close(p->out);
	return false;
}

/* What the write queues hold now; the few pages that a peer has acknowledged are gone. */
static uint64_t unacknowledged(void)
{
	uint64_t sum = 0;
	unsigned i;
	int n;

	for (i = 0; i < peer_count; i++)
		sum += ioctl(peers[i].out, TIOCOUTQ, &n) == 0 && n > 0 ? (uint64_t)n & ~(PAGE - 1) : 0;
	return sum;
}

size_t pin_by_send(struct client *c, char *from, size_t len)
{
	size_t done = 0;

	while (done < len) {
		struct peer *p = peer_count ? &peers[peer_count - 1] : NULL;
		size_t room = p ? PEER_BYTES - p->sent : 0;
		ssize_t n;

		if (!room && !open_peer(c))
			break;
		if (!room)
			continue;
		n = send(p->out, from + done, len - done < room ? len - done : room,
			 MSG_ZEROCOPY | MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && p->sent && (errno == EAGAIN || errno == ENOBUFS)) {
			p->sent = PEER_BYTES; /* full before its time */
			continue;
		}
		if (n < 0) {
			fail(c, "MSG_ZEROCOPY", errno);
			break;
		}
		p->sent += (size_t)n;
		done += (size_t)n;
	}
	c->pinned = unacknowledged();
	return done;
}

/* --- io_uring --- */

static int put_buffer(void *at, size_t len)
{
	struct iovec iov = {at, len};
	struct io_uring_rsrc_update2 update = {.offset = buffer_count, .data = (uintptr_t)&iov, .nr = 1};

	return (int)syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS_UPDATE, &update, sizeof(update));
}

/* A ring with an empty table, and one buffer of our own in it: so it is not the ring that refuses the next. */
static bool open_ring(struct client *c)
{
	static char own[PAGE] __attribute__((aligned(PAGE)));
	struct io_uring_params params = {0};
	struct io_uring_rsrc_register table = {.nr = MAX_BUFFERS, .flags = IORING_RSRC_REGISTER_SPARSE};

	ring = (int)syscall(SYS_io_uring_setup, 1, &params);
	if (ring >= 0 &&
	    syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS2, &table, sizeof(table)) == 0 &&
	    put_buffer(own, PAGE) == 1) {
		buffer_count = 1;
		return true;
	}
	fail(c, "io_uring", errno);
	return false;
}

size_t pin_by_uring(struct client *c, char *from, size_t len)
{
	if (ring < 0 && !open_ring(c))
		return 0;
	if (buffer_count == MAX_BUFFERS || put_buffer(from, len) != 1) {
		fail(c, "IORING_REGISTER_BUFFERS_UPDATE", buffer_count == MAX_BUFFERS ? ENOSPC : errno);
		return 0;
	}
	buffer_count++;
	c->pinned += len;
	return len;
}

void pin_nothing(void)
{
	unsigned i;

	for (i = 0; i < child_count; i++)
		kill(children[i], SIGKILL);
	while (child_count)
		waitpid(children[--child_count], NULL, 0);
	for (; peer_count; peer_count--) {
		/* A reset, so that nothing lingers: neither queue is wanted any more. */
		struct linger none = {.l_onoff = 1};

		setsockopt(peers[peer_count - 1].out, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
		close(peers[peer_count - 1].out);
		close(peers[peer_count - 1].in);
	}
	if (ring >= 0)
		close(ring);
	ring = -1;
	buffer_count = 0;
}
