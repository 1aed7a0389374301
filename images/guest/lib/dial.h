/* SPDX-License-Identifier: GPL-2.0-only */
/* Connecting to the program at the other end of the link. */
#ifndef DIAL_H
#define DIAL_H

#include <stdint.h>
#include <sys/socket.h>

/* The address of `text`, IPv4 or IPv6; its length, or 0 after a problem for options_done(). */
socklen_t dial_parse(const char *text, uint64_t port, struct sockaddr_storage *ss);

/*
 * How to connect. It dies after `seconds`: the kernel's own time-out is two minutes, too long to learn that nobody is
 * there. SO_RCVBUF and TCP_MAXSEG, unless 0, are set before the window and the largest segment are first told.
 */
struct dialling {
	uint64_t seconds, rcvbuf, mss;
};

/* A connected socket that does not block. */
int dial(const struct sockaddr_storage *ss, socklen_t len, struct dialling how);

/* SO_ERROR, or why it could not be had. */
int dial_error(int fd);

#endif
