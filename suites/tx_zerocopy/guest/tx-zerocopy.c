// SPDX-License-Identifier: GPL-2.0-only
/* Sends with MSG_ZEROCOPY, their numbers, and the notifications that say when the kernel has let go of them. */
#define _GNU_SOURCE
#include <time.h> /* errqueue.h lacks it */

#include <errno.h>
#include <linux/errqueue.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "labjson.h"
#include "tx-client.h"

#define MOST_SENDS (1ul << 22) /* of one socket; a number has 32 bits, and would wrap far beyond */

void zerocopy_note(struct client *c, struct lane *l, size_t took)
{
	if (l->sends == l->room) {
		l->room = l->room ? 2 * l->room : 1024;
		l->ends = reallocarray(l->ends, l->room, sizeof(*l->ends));
		l->heard = reallocarray(l->heard, l->room, sizeof(*l->heard));
		if (!l->ends || !l->heard || l->room > MOST_SENDS)
			die(1, "no memory to remember %d sends", (int)l->room);
	}
	l->ends[l->sends] = l->sent;
	l->heard[l->sends++] = false;
	c->now.sends++;
	c->now.zerocopied += took;
}

static uint64_t unacked(const struct lane *l)
{
	int n;

	if (l->fd < 0 || ioctl(l->fd, SIOCOUTQ, &n) < 0 || n < 0)
		return 0;
	return (uint64_t)n < l->sent ? (uint64_t)n : l->sent;
}

static void hear_one(struct client *c, struct lane *l, uint64_t number, bool copied)
{
	uint64_t size;

	if (number >= l->sends) {
		c->now.unknown++;
		return;
	}
	if (l->heard[number]) {
		c->now.twice++;
		return;
	}
	l->heard[number] = true;
	size = l->ends[number] - (number ? l->ends[number - 1] : 0);
	c->now.notified++;
	c->now.completed += size;
	c->now.copied += copied ? size : 0;
	while (l->next < l->sends && l->heard[l->next])
		l->next++;
}

/* What was copied may be let go before it is sent. All else the peer must have: asked after the notification came. */
static void hear_range(struct client *c, struct lane *l, const struct sock_extended_err *err)
{
	bool copied = err->ee_code & SO_EE_CODE_ZEROCOPY_COPIED;
	uint64_t number, acked = l->sent - unacked(l);

	if (err->ee_data < err->ee_info || err->ee_data - err->ee_info > MOST_SENDS) {
		c->now.unknown++;
		return;
	}
	for (number = err->ee_info; number <= err->ee_data; number++)
		hear_one(c, l, number, copied);
	if (!copied && err->ee_data < l->sends && l->ends[err->ee_data] > acked)
		c->now.early++;
}

bool zerocopy_hear(struct client *c, struct lane *l)
{
	bool any = false;

	for (;;) {
		char control[256];
		struct msghdr msg = {.msg_control = control, .msg_controllen = sizeof(control)};
		struct cmsghdr *cm;

		if (l->fd < 0 || recvmsg(l->fd, &msg, MSG_ERRQUEUE) < 0)
			return any;
		for (cm = CMSG_FIRSTHDR(&msg); cm; cm = CMSG_NXTHDR(&msg, cm)) {
			struct sock_extended_err err;

			if (!(cm->cmsg_level == SOL_IP && cm->cmsg_type == IP_RECVERR) &&
			    !(cm->cmsg_level == SOL_IPV6 && cm->cmsg_type == IPV6_RECVERR))
				continue;
			memcpy(&err, CMSG_DATA(cm), sizeof(err));
			if (err.ee_origin == SO_EE_ORIGIN_ZEROCOPY)
				hear_range(c, l, &err);
			any = true;
		}
	}
}

/*
 * What the kernel keeps is what the peer has not acknowledged: pages are let go packet by packet, while a notification
 * waits for all the packets of up to 512 KiB of sends (msg_zerocopy_realloc() of net/core/skbuff.c).
 */
void zerocopy_look(struct client *c)
{
	uint64_t kept = 0, all = 0;
	unsigned k;

	for (k = 0; k < c->lane_count; k++) {
		struct lane *l = &c->lanes[k];
		uint64_t mapped = l->slots[l->slot].at ? l->start : 0; /* of these pages the buffer counts */

		l->unacked = unacked(l);
		all += l->unacked;
		kept += l->unacked > mapped ? l->unacked - mapped : 0;
	}
	c->now.unacked = all;
	c->now.queued = c->behaviour == COPY ? all : 0;
	c->now.held = c->now.anon + (c->behaviour == KEEP ? kept : 0);
}
