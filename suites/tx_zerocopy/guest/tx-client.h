/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of tx-client share: its connections, what the kernel has of it, and what it says. */
#ifndef TX_CLIENT_H
#define TX_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pattern.h"

#define PAGE 4096ul
#define SLOTS 4 /* buffers of a lane that sends from a ring */

/* One buffer of whole pages; address space of its own. */
struct slot {
	unsigned char *at; /* NULL: none */
	uint64_t last;	   /* how many sends there were when the last byte of it was given to the kernel */
};

/* One connection. Its sends with MSG_ZEROCOPY have numbers from 0: Documentation/networking/msg_zerocopy.rst. */
struct lane {
	int fd;
	uint64_t left;	 /* bytes still to be put into a buffer */
	uint64_t offset; /* of the next byte to be put there */
	uint64_t sent;	 /* bytes the kernel took */
	struct pattern pattern;
	struct stream_hash hash;

	struct slot slots[SLOTS];
	unsigned slot;	   /* the one that is being sent */
	size_t start, end; /* of it: filled, not yet sent */

	uint64_t *ends;	      /* by the number of a send: where in the stream it ended */
	unsigned char *heard; /* by the same: its notification came */
	uint64_t sends, room, next; /* `next`: all below it are heard */
	uint64_t unacked;     /* SIOCOUTQ: bytes the peer has not acknowledged */
	bool refused;	      /* ENOBUFS: waits for a notification */
};

enum behaviour { KEEP, RING, COPY };

/* Sums over all lanes. Bytes, but those that count notifications. */
struct counters {
	uint64_t sent, zerocopied; /* given to the kernel; of it with MSG_ZEROCOPY */
	uint64_t completed, copied; /* of that notified; of that with the word that it was copied after all */
	uint64_t anon;		   /* buffers that it has mapped */
	uint64_t unacked;
	uint64_t held;	 /* what it keeps from everybody else: buffers, and pages that only its sockets have */
	uint64_t queued; /* COPY: what lies in its sockets */
	uint64_t sends, notified, twice, unknown, early;
	uint64_t refusals;
	int refusal; /* errno of the first of them */
};

struct client {
	const char *name, *cgroup, *behaviour_name;
	enum behaviour behaviour;
	uint64_t port, sockets, bytes, chunk, seed, sndbuf, memlock;
	bool verify;

	struct lane *lanes;
	unsigned lane_count; /* accepted so far */
	struct counters now;

	const char *failed; /* call that failed, NULL: none */
	int failure;
};

/* tx-zerocopy.c: what the kernel says of what it was given */
void zerocopy_note(struct client *c, struct lane *l, size_t took); /* a send with MSG_ZEROCOPY took so much */
bool zerocopy_hear(struct client *c, struct lane *l);		    /* reads the error queue; whether anything came */
void zerocopy_look(struct client *c);				    /* brings `unacked`, `held` and `queued` up to date */

/* tx-events.c: the lines on standard output; a reader that is gone ends the process */
void say_ready(const struct client *c);
void say(const struct client *c, const char *event);
void say_accepted(const struct client *c, uint64_t sndbuf);
void say_holding(const struct client *c, const char *reason);
void say_left(const struct client *c, const char *cgroup);
void say_done(const struct client *c);

#endif
