/* SPDX-License-Identifier: GPL-2.0-only */
/* Connecting to the program at the other end of the link. */
#ifndef DIAL_H
#define DIAL_H

#include <stdint.h>
#include <sys/socket.h>

/* The address of `text`, IPv4 or IPv6; its length, or 0 after a problem for options_done(). */
socklen_t dial_parse(const char *text, uint64_t port, struct sockaddr_storage *ss);

/*
 * A connected socket that does not block; dies after `seconds`. The kernel's own time-out is two minutes: too long to
 * learn that nobody is there. `rcvbuf`, unless 0, is asked for before the window is first told.
 */
int dial(const struct sockaddr_storage *ss, socklen_t len, uint64_t seconds, uint64_t rcvbuf);

/* SO_ERROR, or why it could not be had. */
int dial_error(int fd);

#endif
