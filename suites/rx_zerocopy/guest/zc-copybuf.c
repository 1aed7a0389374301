// SPDX-License-Identifier: GPL-2.0-only
/*
 * The behaviour `copybuf`: what a call of TCP_ZEROCOPY_RECEIVE may copy beside
 * what it maps, what it leaves to recv(), and what lies between its bytes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "zc-client.h"

#define MOST (256u << 10)

static char buffer[MOST];

/*
 * Offered in turn. Where all that has come fits, the kernel maps nothing and
 * takes receive_fallback_to_copy() of net/ipv4/tcp.c; else it copies what is
 * left of a packet behind what it mapped (tcp_zc_handle_leftover()).
 */
static const uint32_t offered[] = {0, 1, PAGE - 1, 0, MOST, PAGE, 0, PAGE + 1, 0, 16u << 10};

/* The same bytes come again: they are compared, and not counted as delivered. */
static void peek(struct client *c, struct lane *l, size_t len)
{
	ssize_t n = recv(l->fd, buffer, len, MSG_PEEK | MSG_DONTWAIT);

	if (n <= 0)
		return;
	if (c->verify)
		pattern_check(l->pattern, l->offset, buffer, (size_t)n, &c->mismatch);
	c->peeked += (size_t)n;
}

/* Whether the next byte is the one out of band, which recv() passes over and TCP_ZEROCOPY_RECEIVE does not pass. */
static bool at_mark(const struct lane *l)
{
	int mark = 0;

	return ioctl(l->fd, SIOCATMARK, &mark) == 0 && mark;
}

/* False: the kernel knows where it is, but has not got it yet. */
static bool take_urgent(struct client *c, struct lane *l)
{
	char byte;
	ssize_t n = recv(l->fd, &byte, 1, MSG_OOB | MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n == 1) {
		c->urgent++;
		if (byte != URGENT_BYTE)
			c->mismatch.count++;
	} else if (n == 0 || (errno != EINVAL && errno != EINTR)) { /* EINVAL: it has been read */
		fail(c, "MSG_OOB", n ? errno : EIO);
	}
	return true;
}

static size_t queued(const struct lane *l)
{
	int n = 0;

	return ioctl(l->fd, SIOCINQ, &n) == 0 && n > 0 ? (size_t)n : 0;
}

/* What the call copied of itself, behind what it mapped or in its stead. */
static size_t took_copied(struct client *c, struct lane *l, const struct tcp_zerocopy_receive *zc, bool fits)
{
	size_t n = zc->copybuf_len > 0 ? (size_t)zc->copybuf_len : 0;

	took(c, l, buffer, n);
	c->copied += n;
	*(fits && !zc->length ? &c->fallback : &c->straggled) += n;
	return n;
}

/* The hint may reach past the mark, where recv() would go on after a first part; what is queued does not. */
static size_t took_hinted(struct client *c, struct lane *l, uint32_t hint)
{
	size_t there = hint ? queued(l) : 0, n = take_bounced(c, l, hint < there ? hint : there);

	c->hinted += n;
	return n;
}

/*
 * What is copied behind mapped pages is asked for only as far as has come: the
 * kernel takes it from the packet, which knows no mark, and would give the byte
 * out of band as one of the stream. Where all shall be copied, nothing is to be
 * mapped, so that nothing comes of a call before which more has come.
 */
static void ask(struct tcp_zerocopy_receive *zc, size_t most, size_t there, size_t room)
{
	if (there <= most) {
		zc->copybuf_len = (int32_t)most;
		return;
	}
	if (there - most < PAGE)
		most = 0;
	zc->length = (uint32_t)((there - most < room ? there - most : room) & ~(PAGE - 1));
	zc->copybuf_len = (int32_t)(there - zc->length < most ? there - zc->length : most);
}

size_t take_with_copybuf(struct client *c, struct lane *l)
{
	static unsigned turn;
	size_t most = offered[turn++ % (sizeof(offered) / sizeof(offered[0]))];
	struct tcp_zerocopy_receive zc = {.copybuf_address = (uintptr_t)buffer,
					  .flags = TCP_RECEIVE_ZEROCOPY_FLAG_TLB_CLEAN_HINT};
	socklen_t len = sizeof(zc);
	size_t room = window_room(c, l), there, done;

	if (!room)
		return 0;
	peek(c, l, most ? most : PAGE + 1);
	if (at_mark(l)) /* the next byte of the stream lies behind it */
		return take_urgent(c, l) ? take_bounced(c, l, PAGE) : 0;
	zc.address = (uintptr_t)(l->window + l->used);
	there = queued(l);
	ask(&zc, most, there, room);
	if (getsockopt(l->fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &len) < 0) {
		if (errno == EIO) /* the end of the stream, or a reset: recv() says which */
			return take_bounced(c, l, BOUNCE_SIZE);
		fail(c, "TCP_ZEROCOPY_RECEIVE", errno);
		return 0;
	}
	took_mapped(c, l, zc.length);
	done = zc.length + took_copied(c, l, &zc, there && there <= most);
	if (zc.err)
		fail(c, "TCP_ZEROCOPY_RECEIVE", zc.err < 0 ? -zc.err : zc.err);
	else
		done += took_hinted(c, l, zc.recv_skip_hint);
	return done;
}
