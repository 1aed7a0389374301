// SPDX-License-Identifier: GPL-2.0-only
/* The behaviours: how bytes come off a socket and what becomes of them. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "zc-client.h"

/* Address space is taken in areas of this size, so that few mappings are needed. An area belongs to one socket. */
#define HOLD_AREA (64ul << 20)
#define ANON_AREA (64ul << 20)
/* A child keeps a whole window: few children, and the parent's own share of the mapping stays small. */
#define FORK_AREA (16ul << 20)
/* What is mapped over is looked up in the page table after each round: small, and gone over several times. */
#define OVER_AREA (16ul << 20)
/* A call unmaps as much ahead as it asks for: with little, more of the calls find a page where they are to map one. */
#define OVER_CHUNK (64ul << 10)
/* Half of what `map` maps at a time: each wake-up ends with an unmapping and its TLB flush, however little came. */
#define MAP_LOWAT (512 << 10)
/* Below one page, so that a call copies only what it could not have mapped. */
#define STRAGGLERS (PAGE - 1)

static char bounce[BOUNCE_SIZE]; /* the small reused buffer for what cannot be mapped */

bool is_slow(const struct client *c)
{
	return !c->behaviour->take;
}

uint64_t delivered(const struct client *c)
{
	return c->mapped + c->copied + c->dropped;
}

uint64_t remaining(const struct client *c)
{
	if (c->most && kept_bytes(c) >= c->most)
		return 0;
	return c->bytes ? c->bytes - c->sockets * c->leave - delivered(c) : UINT64_MAX;
}

/* Of the bytes that are to come off one socket. */
static uint64_t lane_left(const struct client *c, const struct lane *l)
{
	/* An unkillable client makes no second window for nothing: at its limit there is no memory for one. */
	return c->leave || c->unkillable ? c->bytes / c->sockets - c->leave - l->offset : remaining(c);
}

/* What stays behind must be the end of a packet that has been taken for the rest: so all of it has to be there first. */
bool lane_waits(const struct client *c, const struct lane *l)
{
	int queued;

	return c->leave && !l->offset && ioctl(l->fd, FIONREAD, &queued) == 0 &&
	       (uint64_t)queued < c->bytes / c->sockets;
}

void fail(struct client *c, const char *call, int err)
{
	if (!c->failure.call)
		c->failure = (struct failure){call, err};
}

static size_t least(size_t a, uint64_t b)
{
	return a < b ? a : (size_t)b;
}

void took(struct client *c, struct lane *l, const char *data, size_t len)
{
	if (c->verify && len) {
		pattern_check(l->pattern, l->offset, data, len, &c->mismatch);
		stream_hash_add(&l->hash, data, len);
	}
	l->offset += len;
}

static size_t take_into(struct client *c, struct lane *l, char *to, size_t len)
{
	ssize_t n = recv(l->fd, to, len, MSG_DONTWAIT);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			fail(c, "recv", errno);
		return 0;
	}
	l->ended |= n == 0;
	took(c, l, to, (size_t)n);
	c->copied += (size_t)n;
	return (size_t)n;
}

size_t take_bounced(struct client *c, struct lane *l, uint64_t len)
{
	size_t done = 0, n;

	len = least(len, lane_left(c, l));
	do {
		n = len > done ? take_into(c, l, bounce, least(sizeof(bounce), len - done)) : 0;
		done += n;
	} while (n);
	return done;
}

size_t window_room(struct client *c, struct lane *l)
{
	size_t least_window = c->behaviour->window;
	bool keeps = c->behaviour->keeps_windows, rooted = c->unkillable || c->race_in;

	if (l->window && l->used == l->window_size) {
		c->behaviour->settle(c, l);
		if (keeps)
			l->window = NULL; /* stays mapped: the area is remembered by zc-keep.c */
		else if (c->behaviour->maps_over)
			l->used = 0;
	}
	if (!l->window) {
		l->window_size = rooted ? ROOTED_AREA : c->chunk < least_window ? least_window : c->chunk;
		l->used = l->settled = l->filled = 0;
		l->window = rooted ? keep_rooted_area(l->fd) : keep_area(l->fd, l->window_size);
		if (!l->window)
			fail(c, "mmap", errno);
	}
	return c->failure.call ? 0 : least(l->window_size - l->used, c->behaviour->maps_over ? OVER_CHUNK : c->chunk);
}

void behaviour_prepare(struct client *c)
{
	unsigned k;

	memset(bounce, 1, sizeof(bounce));
	for (k = 0; c->unkillable && k < c->lane_count && !c->failure.call; k++)
		window_room(c, &c->lanes[k]);
}

/*
 * One TCP_ZEROCOPY_RECEIVE: maps what it can and copies the straggling bytes
 * after it into the bounce buffer. The hint tells the kernel that the range is
 * unmapped: no TLB flush for nothing. Where it is not, the kernel finds out at
 * the first page (EBUSY), and unmaps it after all.
 */
static int map_once(const struct client *c, struct lane *l, size_t room, struct tcp_zerocopy_receive *zc)
{
	uint64_t left = lane_left(c, l);
	socklen_t len = sizeof(*zc);

	memset(zc, 0, sizeof(*zc));
	zc->address = (uintptr_t)(l->window + l->used);
	zc->length = (uint32_t)least(room, left & ~(PAGE - 1));
	zc->flags = c->behaviour->no_hint ? 0 : TCP_RECEIVE_ZEROCOPY_FLAG_TLB_CLEAN_HINT;
	/* Never past --bytes; and not after a call that asks for little, which would copy what the next one can map. */
	if (left - zc->length > STRAGGLERS && !c->behaviour->maps_over) {
		zc->copybuf_address = (uintptr_t)bounce;
		zc->copybuf_len = STRAGGLERS;
	}
	return getsockopt(l->fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, zc, &len);
}

void took_mapped(struct client *c, struct lane *l, size_t len)
{
	took(c, l, l->window + l->used, len);
	l->used += len;
	c->mapped += len;
	if (l->used > l->filled) {
		c->mapped_now += l->used - l->filled;
		l->filled = l->used;
	}
}

/* A call that mapped nothing for a reason other than the end of the stream. */
static size_t refused(struct client *c, struct lane *l, int err)
{
	size_t done;

	if (!c->behaviour->falls_back) {
		fail(c, "TCP_ZEROCOPY_RECEIVE", err);
		return 0;
	}
	done = take_bounced(c, l, sizeof(bounce));
	if (done && !c->refusals++)
		c->refusal = err;
	return done;
}

static size_t take_mapped(struct client *c, struct lane *l)
{
	struct tcp_zerocopy_receive zc;
	size_t room, done;

	if (lane_left(c, l) < PAGE)
		return take_bounced(c, l, lane_left(c, l));
	room = window_room(c, l);
	if (!room)
		return 0;
	if (map_once(c, l, room, &zc) < 0) {
		/* EIO is the end of the stream or a reset; recv() says which. */
		if (errno == EIO)
			return take_bounced(c, l, sizeof(bounce));
		return refused(c, l, errno);
	}
	took_mapped(c, l, zc.length);
	done = zc.length;
	if (zc.copybuf_len > 0) {
		took(c, l, bounce, (size_t)zc.copybuf_len);
		c->copied += (size_t)zc.copybuf_len;
		done += (size_t)zc.copybuf_len;
	}
	if (zc.err && c->behaviour->falls_back)
		done += refused(c, l, zc.err < 0 ? -zc.err : zc.err);
	else if (zc.err)
		fail(c, "TCP_ZEROCOPY_RECEIVE", zc.err < 0 ? -zc.err : zc.err);
	else if (zc.recv_skip_hint)
		done += take_bounced(c, l, zc.recv_skip_hint);
	return done;
}

/* Unmaps the window's pages and starts it anew. One call, one TLB flush, for all of a round. */
static void clear_window(struct client *c, struct lane *l)
{
	if (!l->used)
		return;
	if (madvise(l->window, l->used, MADV_DONTNEED) < 0)
		fail(c, "madvise", errno);
	c->mapped_now -= l->used;
	l->used = l->settled = l->filled = 0;
}

static void settle_map(struct client *c, struct lane *l)
{
	volatile char sink;
	size_t at;

	/* An application reads what it mapped; --verify has done so already. */
	for (at = 0; !c->verify && at < l->used; at += PAGE)
		sink = l->window[at];
	(void)sink;
	clear_window(c, l);
}

static void settle_hold(struct client *c, struct lane *l)
{
	(void)c;
	if (l->used > l->settled)
		keep_frames(l->window + l->settled, l->used - l->settled);
	l->settled = l->used;
}

/* The kernel may have unmapped more than it mapped anew: the page table says what is there. */
static void settle_over(struct client *c, struct lane *l)
{
	unsigned k;

	(void)l;
	keep_forget_frames();
	c->mapped_now = 0;
	for (k = 0; k < c->lane_count; k++)
		c->mapped_now += c->lanes[k].window ? keep_frames(c->lanes[k].window, c->lanes[k].filled) : 0;
}

static void settle_pin(struct client *c, struct lane *l)
{
	size_t len = l->used - l->settled;

	if (!len)
		return;
	keep_frames(l->window + l->settled, len); /* before the pages leave the page table */
	l->settled += len;
	if (c->behaviour->keep(c, l->window + l->settled - len, len) == len)
		clear_window(c, l);
}

/* The same by whole windows, for a way of keeping that costs too much to be used for every few pages. */
static void settle_pin_window(struct client *c, struct lane *l)
{
	bool last = c->failure.call || l->ended || !remaining(c);

	settle_hold(c, l);
	if (l->used && (last || l->used == l->window_size) && c->behaviour->keep(c, l->window, l->used) == l->used)
		clear_window(c, l);
}

/* Where the next copied bytes go; the room there, 0 after a failure. */
static size_t anon_room(struct client *c, char **at)
{
	static char *area;
	static size_t size, used;

	if (area && used == size) {
		used = 0;
		if (!c->ring)
			area = NULL; /* kept, full */
	}
	if (!area) {
		size = c->ring ? c->ring : ANON_AREA;
		used = 0;
		area = keep_area(-1, size);
		if (!area) {
			fail(c, "mmap", errno);
			return 0;
		}
	}
	*at = area + used;
	used += least(size - used, c->chunk);
	return (size_t)(area + used - *at);
}

static size_t take_copied(struct client *c, struct lane *l)
{
	static char *at;
	static size_t room;
	size_t n;

	if (!room)
		room = anon_room(c, &at);
	n = room ? take_into(c, l, at, least(room, remaining(c))) : 0;
	at += n;
	room -= n;
	c->anon = c->ring && c->copied > c->ring ? c->ring : c->copied;
	return n;
}

/* TCP alone: the bytes are acknowledged and their pages freed, and no byte of them is touched. */
static size_t take_dropped(struct client *c, struct lane *l)
{
	ssize_t n = recv(l->fd, NULL, least(c->chunk, remaining(c)), MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			fail(c, "recv", errno);
		return 0;
	}
	l->ended |= n == 0;
	l->offset += (size_t)n;
	c->dropped += (size_t)n;
	return (size_t)n;
}

const struct behaviour *behaviour_find(const char *name)
{
	static const struct behaviour all[] = {
		{"map", .lowat = MAP_LOWAT, .take = take_mapped, .settle = settle_map},
		{"copy", .take = take_copied},
		{"drop", .take = take_dropped},
		{"slow", .take = NULL},
		{"hold", .window = HOLD_AREA, .keeps_windows = true, .take = take_mapped, .settle = settle_hold},
		{"hold-or-copy", .window = HOLD_AREA, .keeps_windows = true, .falls_back = true, .take = take_mapped,
		 .settle = settle_hold},
		{"hold-no-hint", .window = HOLD_AREA, .keeps_windows = true, .no_hint = true, .take = take_mapped,
		 .settle = settle_hold},
		{"copybuf", .window = HOLD_AREA, .keeps_windows = true, .take = take_with_copybuf, .settle = settle_hold},
		{"race", .window = ROOTED_AREA, .maps_over = true, .take = take_racing, .settle = settle_racing},
		{"map-over", .window = OVER_AREA, .maps_over = true, .take = take_mapped, .settle = settle_over},
		{"map-over-no-hint", .window = OVER_AREA, .maps_over = true, .no_hint = true, .take = take_mapped,
		 .settle = settle_over},
		{"pin-vmsplice", .take = take_mapped, .settle = settle_pin, .keep = keep_in_pipes},
		{"pin-tee", .take = take_mapped, .settle = settle_pin_window, .keep = keep_in_tees},
		{"pin-fork", .window = FORK_AREA, .take = take_mapped, .settle = settle_pin_window, .keep = pin_by_fork},
		{"pin-sendzc", .take = take_mapped, .settle = settle_pin_window, .keep = pin_by_send},
		{"pin-uring", .take = take_mapped, .settle = settle_pin_window, .keep = pin_by_uring},
	};
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!strcmp(all[i].name, name))
			return &all[i];
	return NULL;
}
