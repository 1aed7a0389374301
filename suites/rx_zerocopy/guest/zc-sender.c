// SPDX-License-Identifier: GPL-2.0-only
/* zc-sender: connects, sends seeded bytes, says how many and their hash. */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dial.h"
#include "guestproc.h"
#include "labjson.h"
#include "options.h"
#include "pattern.h"
#include "zc-repeat.h"

#define PROGRESS_US 100000
#define MAX_SOCKETS 4096
#define BUFFERS_TOTAL (4u << 20)
#define BUFFER_MAX (256u << 10)
#define BUFFER_MIN (16u << 10)

static const char about[] =
	"zc-sender: sends a seeded stream to zc-client, the sending half of a run.\n"
	"\n"
	"  zc-sender --to ADDRESS --port P [--sockets S] [--bytes N] [--rate R] [--seed X]\n"
	"\n"
	"Connects S sockets one after the other (so that the receiver accepts them in the same\n"
	"order), then sends N bytes in all, split evenly; the first N mod S sockets carry one\n"
	"byte more. Byte i of socket k depends on seed, k and i only; with --repeat, on seed and\n"
	"i modulo the size of a buffer. With --urgent, each socket's stream is interrupted by one byte\n"
	"out of band (MSG_OOB), which is not one of the N.\n"
	"\n"
	"Events, one JSON object a line on standard output:\n"
	"  ready      started (name of the target, pid)\n"
	"  connected  all sockets are connected\n"
	"  progress   at most every 100 ms while bytes leave: sent\n"
	"  done       N bytes were sent and acknowledged: sent, urgent (with --urgent), hash (not\n"
	"             with --repeat); exit status 0\n"
	"  broken     the peer went away: sent, errno, hash; exit status 0\n"
	"  error      this side failed, or nobody answered: message; exit status 1, 2 for options\n";

struct lane {
	int fd;
	uint64_t left;   /* bytes still to be generated */
	uint64_t offset; /* of the next byte to be generated; a multiple of 8 until the last */
	struct pattern pattern;
	struct stream_hash hash;
	unsigned char *buf;
	size_t start, end; /* generated, not yet sent */
	uint64_t sent;
	bool urgent; /* the byte out of band is still to be sent */
};

static const char *to, *cgroup;
static uint64_t port, sockets = 1, bytes, seed, rate, connect_seconds = 10, mss, urgent_at, urgent;
static bool repeat;
static struct lane *lanes;
static struct pollfd *fds;
static size_t buffer_size;
static uint64_t sent, reported, last_progress;

static void say(const char *event, bool final, int err)
{
	static char line[1024];
	struct json j;
	uint64_t hash = 0, k;

	json_start(&j, line, sizeof(line), event);
	json_num(&j, "sent", (int64_t)sent);
	if (urgent_at)
		json_num(&j, "urgent", (int64_t)urgent);
	if (err)
		json_num(&j, "errno", err);
	if (final && !repeat) {
		for (k = 0; k < sockets; k++)
			hash ^= stream_hash_value(&lanes[k].hash);
		json_hex(&j, "hash", hash);
	}
	json_finish(&j);
	if (!json_emit(&j))
		exit(1);
}

static void say_ready(void)
{
	static char line[1024];
	struct json j;

	json_start(&j, line, sizeof(line), "ready");
	json_str(&j, "to", to);
	json_num(&j, "port", (int64_t)port);
	json_num(&j, "pid", getpid());
	json_str(&j, "cgroup", cgroup);
	json_finish(&j);
	json_emit(&j);
}

__attribute__((noreturn)) static void broken(int err)
{
	say("broken", true, err);
	exit(0);
}

/* Over loopback the receiver would get a file's very pages, which TCP_ZEROCOPY_RECEIVE does not map. */
static bool is_loopback(const struct sockaddr_storage *ss)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)ss;

	if (ss->ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)ss)->sin6_addr);
}

static void prepare_lanes(const struct sockaddr_storage *ss, socklen_t len)
{
	unsigned char *shared;
	uint64_t k;

	buffer_size = BUFFERS_TOTAL / sockets;
	buffer_size = buffer_size > BUFFER_MAX ? BUFFER_MAX : buffer_size < BUFFER_MIN ? BUFFER_MIN : buffer_size;
	buffer_size &= ~4095ul; /* whole pages, and a multiple of the pattern's word */
	lanes = calloc(sockets, sizeof(*lanes));
	fds = calloc(sockets, sizeof(*fds));
	if (!lanes || !fds)
		die(1, "no memory for %d sockets", (int)sockets);
	shared = repeat ? repeat_prepare(buffer_size, seed, !is_loopback(ss)) : NULL;
	for (k = 0; k < sockets; k++) {
		struct lane *l = &lanes[k];

		l->fd = dial(ss, len, (struct dialling){.seconds = connect_seconds, .mss = mss});
		l->left = bytes ? bytes / sockets + (k < bytes % sockets) : UINT64_MAX;
		l->pattern = pattern_of(seed, k);
		l->urgent = urgent_at;
		l->buf = shared;
		if (!shared && posix_memalign((void **)&l->buf, 4096, buffer_size))
			die(1, "no memory for the buffers of %d sockets", (int)sockets);
	}
}

static bool lane_empty(const struct lane *l)
{
	return l->start == l->end && !l->left;
}

static void refill(struct lane *l)
{
	size_t n = l->left < buffer_size ? l->left : buffer_size;

	if (!repeat)
		pattern_fill(l->pattern, l->offset, l->buf, n);
	l->offset += n;
	l->left -= bytes ? n : 0;
	l->start = 0;
	l->end = n;
}

/* One byte out of band, which is no byte of the stream. False: not yet. */
static bool send_urgent(struct lane *l)
{
	ssize_t n = send(l->fd, &(char){URGENT_BYTE}, 1, MSG_OOB | MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR)
		broken(errno);
	l->urgent = n != 1;
	urgent += n == 1;
	return n == 1;
}

/* Sends what the socket takes, at most `most` bytes; exits through broken() when the peer is gone. */
static size_t send_some(struct lane *l, size_t most)
{
	size_t n;
	ssize_t took;

	if (l->urgent && l->sent == urgent_at && !send_urgent(l))
		return 0;
	if (l->start == l->end)
		refill(l);
	n = l->end - l->start < most ? l->end - l->start : most;
	if (l->urgent && n > urgent_at - l->sent)
		n = urgent_at - l->sent;
	took = repeat ? repeat_send(l->fd, l->start, n) : send(l->fd, l->buf + l->start, n, MSG_NOSIGNAL);
	if (took < 0) {
		if (errno != EAGAIN && errno != EINTR)
			broken(errno);
		return 0;
	}
	if (!repeat)
		stream_hash_add(&l->hash, l->buf + l->start, (size_t)took);
	l->start += (size_t)took;
	l->sent += (uint64_t)took;
	sent += (uint64_t)took;
	if (lane_empty(l))
		shutdown(l->fd, SHUT_WR); /* the receiver sees the end even if it was not told N */
	return (size_t)took;
}

/*
 * With a rate: sleeps until the next slice is due and returns its size. Time
 * and bytes are counted from the start, so a late wake-up is caught up with.
 */
static size_t allowance(uint64_t t0)
{
	uint64_t slice = rate / 50, due;
	struct timespec ts;

	if (!rate)
		return SIZE_MAX;
	slice = slice < 4096 ? (rate < 4096 ? rate : 4096) : slice & ~4095ul;
	due = t0 + (uint64_t)((double)(sent + slice) / (double)rate * 1e6);
	ts.tv_sec = (time_t)(due / 1000000);
	ts.tv_nsec = (long)(due % 1000000 * 1000);
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
	return slice;
}

static void progress(void)
{
	uint64_t now = now_us();

	if (sent == reported || now - last_progress < PROGRESS_US)
		return;
	reported = sent;
	last_progress = now;
	say("progress", false, 0);
}

/* Wakes up for the next progress line too; false when there is nothing left to send. */
static bool wait_writable(void)
{
	bool any = false;
	uint64_t k;

	for (k = 0; k < sockets; k++) {
		bool busy = !lane_empty(&lanes[k]);

		fds[k] = (struct pollfd){.fd = busy ? lanes[k].fd : -1, .events = POLLOUT};
		any |= busy;
	}
	if (any)
		poll(fds, sockets, PROGRESS_US / 1000);
	return any;
}

static void send_all(void)
{
	uint64_t t0 = now_us(), k;
	size_t most = allowance(t0);

	while (wait_writable()) {
		for (k = 0; k < sockets && most; k++) {
			size_t n = fds[k].revents ? send_some(&lanes[k], most) : 0;

			most -= rate ? n : 0;
		}
		progress();
		if (!most)
			most = allowance(t0);
	}
}

/* `done` promises that the receiver's kernel has every byte, not just ours. */
static void wait_acknowledged(int fd)
{
	struct pollfd p = {.fd = fd};
	int queued, err;

	for (;;) {
		err = dial_error(fd);
		if (!err && ioctl(fd, SIOCOUTQ, &queued) < 0)
			err = errno;
		if (err)
			broken(err);
		if (!queued)
			return;
		if (poll(&p, 1, 10) > 0 && p.revents & POLLHUP && !dial_error(fd)) {
			/* Closed both ways: either all was acknowledged, or it never will be. */
			if (ioctl(fd, SIOCOUTQ, &queued) < 0 || queued)
				broken(EPIPE);
			return;
		}
	}
}

static void parse_options(int argc, char **argv)
{
	struct option_row rows[] = {
		{"to", OPT_TEXT, &to, "ADDRESS", "IPv4 or IPv6 address of zc-client", 0, 0, true},
		{"port", OPT_NUMBER, &port, "P", "its port", 1, 65535, true},
		{"sockets", OPT_NUMBER, &sockets, "S", "connections, default 1", 1, MAX_SOCKETS, false},
		{"bytes", OPT_NUMBER, &bytes, "N", "bytes in all, default 0: until broken", 0, INT64_MAX, false},
		{"seed", OPT_NUMBER, &seed, "X", "seed of the content, default 0", 0, UINT64_MAX, false},
		{"repeat", OPT_FLAG, &repeat, NULL, "send one buffer over and over; no hash", 0, 0, false},
		{"rate", OPT_NUMBER, &rate, "R", "bytes a second, default 0: no limit", 0, INT64_MAX, false},
		{"mss", OPT_NUMBER, &mss, "N", "bytes in a segment at most, timestamps among them", 88, 32767, false},
		{"urgent", OPT_NUMBER, &urgent_at, "N", "after N bytes of each socket's stream comes one out of band", 1,
		 INT64_MAX, false},
		{"cgroup", OPT_TEXT, &cgroup, "DIR", "move there before anything else", 0, 0, false},
		{"connect-timeout", OPT_NUMBER, &connect_seconds, "S", "seconds for each connection, default 10", 1,
		 600, false},
	};

	options_parse(argc, argv, rows, sizeof(rows) / sizeof(rows[0]), about);
	if (urgent_at && (!bytes || urgent_at >= bytes / sockets))
		options_problem("--urgent needs --bytes, and less than each socket's share of them");
}

int main(int argc, char **argv)
{
	struct sockaddr_storage ss;
	socklen_t len;
	uint64_t k;

	parse_options(argc, argv);
	len = dial_parse(to, port, &ss);
	options_done();
	if (cgroup && cgroup_join(cgroup) < 0)
		die(1, "cannot join cgroup %s: %s", cgroup, strerror(errno));
	signal(SIGPIPE, SIG_IGN);
	say_ready();
	prepare_lanes(&ss, len);
	say("connected", false, 0);
	send_all();
	for (k = 0; k < sockets; k++)
		wait_acknowledged(lanes[k].fd);
	say("done", true, 0);
	return 0;
}
