// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where connections come from: a socket that listens for each family, so that
 * those over IPv4 are sockets of AF_INET, and not IPv6 ones of mapped addresses.
 * Or another process, which accepts them in another cgroup and hands them over
 * by SCM_RIGHTS. Whose memory a socket's queues are is settled by who accepts
 * it: mem_cgroup_sk_alloc() in inet_csk_accept() of net/ipv4/inet_connection_sock.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
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

static int listeners[2] = {-1, -1}; /* IPv4, IPv6; -1: none */
static int passed = -1;		    /* where those come from that another process accepts; -1: none does */
static pid_t acceptor;

static int bind_any(int family, uint64_t port, uint64_t rcvbuf)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, size = (int)rcvbuf;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	/* Before listen(), so that accepted sockets inherit it and their window scale fits. */
	if (rcvbuf && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(fd, family == AF_INET6 ? (void *)&v6 : (void *)&v4, family == AF_INET6 ? sizeof(v6) : sizeof(v4)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* One of them is enough: a kernel may lack either. */
uint64_t accept_listen(uint64_t port, uint64_t sockets, uint64_t rcvbuf)
{
	static const int families[] = {AF_INET, AF_INET6};
	struct sockaddr_in6 bound; /* the port is at the same place in both families */
	socklen_t len = sizeof(bound);
	unsigned i, there = 0;

	for (i = 0; i < 2; i++) {
		listeners[i] = bind_any(families[i], port, rcvbuf);
		if (listeners[i] < 0)
			continue;
		if (listen(listeners[i], (int)sockets) < 0)
			die(1, "cannot listen on port %d: %s", (int)port, strerror(errno));
		if (getsockname(listeners[i], (struct sockaddr *)&bound, &len) == 0)
			port = ntohs(bound.sin6_port);
		there++;
	}
	if (!there)
		die(1, "cannot listen on port %d: %s", (int)port, strerror(errno));
	return port;
}

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

static int accept_own(void)
{
	int fd = -1;
	unsigned i;

	errno = EAGAIN;
	for (i = 0; i < 2 && fd < 0; i++)
		if (listeners[i] >= 0)
			fd = accept4(listeners[i], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	return fd;
}

unsigned accept_poll(struct pollfd *fds)
{
	unsigned i;

	for (i = 0; i < 2; i++) /* poll() passes over a negative one */
		fds[i] = (struct pollfd){.fd = passed < 0 ? listeners[i] : i ? -1 : passed, .events = POLLIN};
	return 2;
}

__attribute__((noreturn)) static void accept_all(uint64_t sockets, const char *dir, int to)
{
	struct pollfd fds[2];
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (cgroup_join(dir) < 0)
		_exit(1);
	while (sockets) {
		poll(fds, accept_poll(fds), -1);
		fd = accept_own();
		if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0 || hand_over(to, fd) < 0)
			_exit(1);
		close(fd);
		sockets--;
	}
	_exit(0);
}

void accept_elsewhere(uint64_t sockets, const char *dir)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
		die(1, "socketpair: %s", strerror(errno));
	acceptor = fork();
	if (acceptor < 0)
		die(1, "fork: %s", strerror(errno));
	if (acceptor == 0)
		accept_all(sockets, dir, ends[1]);
	close(ends[1]);
	passed = ends[0];
}

static int take_passed(void)
{
	struct parcel p;
	struct cmsghdr *c;
	ssize_t n = recvmsg(passed, wrap(&p), MSG_CMSG_CLOEXEC);
	int fd;

	if (n < 0)
		return -1;
	c = CMSG_FIRSTHDR(&p.msg);
	if (n == 0 || !c || c->cmsg_type != SCM_RIGHTS)
		die(1, "the process that accepts elsewhere has ended");
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

int accept_next(void)
{
	return passed < 0 ? accept_own() : take_passed();
}

void accept_done(void)
{
	unsigned i;

	for (i = 0; i < 2; i++) {
		if (listeners[i] >= 0)
			close(listeners[i]);
		listeners[i] = -1;
	}
	if (passed < 0)
		return;
	close(passed); /* whoever accepts still has nobody to hand anything to */
	passed = -1;
	kill(acceptor, SIGKILL);
	waitpid(acceptor, NULL, 0);
}
