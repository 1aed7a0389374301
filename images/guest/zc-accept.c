// SPDX-License-Identifier: GPL-2.0-only
/*
 * Connections that another process accepts, in another cgroup, and hands over
 * by SCM_RIGHTS. Whose memory a socket's queues are is settled by who accepts
 * it: mem_cgroup_sk_alloc() in inet_csk_accept() of net/ipv4/inet_connection_sock.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guestproc.h"
#include "labjson.h"
#include "zc-client.h"

static pid_t acceptor = -1;

/* A message of one byte that carries a file, or room for one. */
struct parcel {
	char byte;
	struct iovec iov;
	struct msghdr msg;
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
};

static struct msghdr *wrap(struct parcel *p)
{
	memset(p, 0, sizeof(*p));
	p->iov = (struct iovec){&p->byte, 1};
	p->msg = (struct msghdr){.msg_iov = &p->iov, .msg_iovlen = 1, .msg_control = &p->control,
				 .msg_controllen = sizeof(p->control.space)};
	return &p->msg;
}

static int hand_over(int to, int fd)
{
	struct parcel p;
	struct cmsghdr *c = CMSG_FIRSTHDR(wrap(&p));

	*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(to, &p.msg, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

__attribute__((noreturn)) static void accept_all(int listener, uint64_t sockets, const char *dir, int to)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (cgroup_join(dir) < 0)
		_exit(1);
	while (sockets) {
		poll(&p, 1, -1);
		fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0 || hand_over(to, fd) < 0)
			_exit(1);
		close(fd);
		sockets--;
	}
	_exit(0);
}

int accept_elsewhere(int listener, uint64_t sockets, const char *dir)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
		die(1, "socketpair: %s", strerror(errno));
	acceptor = fork();
	if (acceptor < 0)
		die(1, "fork: %s", strerror(errno));
	if (acceptor == 0)
		accept_all(listener, sockets, dir, ends[1]);
	close(ends[1]);
	return ends[0];
}

int accept_passed(int from)
{
	struct parcel p;
	struct cmsghdr *c;
	ssize_t n = recvmsg(from, wrap(&p), MSG_CMSG_CLOEXEC);
	int fd;

	if (n < 0)
		return -1;
	c = CMSG_FIRSTHDR(&p.msg);
	if (n == 0 || !c || c->cmsg_type != SCM_RIGHTS)
		die(1, "the process that accepts elsewhere has ended");
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

void accept_done(int from)
{
	close(from);
	waitpid(acceptor, NULL, 0);
}
