// SPDX-License-Identifier: GPL-2.0-only
#include "dial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>

#include "labjson.h"
#include "options.h"

socklen_t dial_parse(const char *text, uint64_t port, struct sockaddr_storage *ss)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	if (text && inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		return sizeof(*v4);
	}
	if (text && inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		return sizeof(*v6);
	}
	if (text)
		options_problem("--to: \"%s\" is neither an IPv4 nor an IPv6 address", text);
	return 0;
}

int dial_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? errno : err;
}

__attribute__((noreturn)) static void nobody(const struct sockaddr_storage *ss, int err)
{
	char text[INET6_ADDRSTRLEN] = "?";
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)ss; /* the port is at the same place in both */
	const void *address = &v4->sin_addr;

	if (ss->ss_family == AF_INET6)
		address = &((const struct sockaddr_in6 *)ss)->sin6_addr;
	inet_ntop(ss->ss_family, address, text, sizeof(text));
	die(1, "connect to %s port %d: %s", text, (int)ntohs(v4->sin_port), strerror(err));
}

int dial(const struct sockaddr_storage *ss, socklen_t len, struct dialling how)
{
	int fd = socket(ss->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;
	int size = (int)how.rcvbuf, mss = (int)how.mss;
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	if (fd < 0)
		die(1, "socket: %s", strerror(errno));
	if (mss && setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)) < 0)
		die(1, "a segment of %d bytes: %s", mss, strerror(errno));
	if (size && setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (connect(fd, (const struct sockaddr *)ss, len) == 0)
		return fd;
	err = errno;
	if (err == EINPROGRESS)
		err = poll(&p, 1, (int)how.seconds * 1000) == 1 ? dial_error(fd) : ETIMEDOUT;
	if (err)
		nobody(ss, err);
	return fd;
}
