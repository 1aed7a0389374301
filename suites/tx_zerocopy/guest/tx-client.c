// SPDX-License-Identifier: GPL-2.0-only
/* tx-client: the sending half of a run whose sender is under test; a server that accepts, and sends as it is told. */
#define _GNU_SOURCE
#include "tx-client.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "commands.h"
#include "guestproc.h"
#include "labjson.h"
#include "options.h"

#define PROGRESS_US 100000
#define KEPT (1ul << 20) /* bytes more that it keeps are worth a line, however soon */
#define STILL_US 1000000 /* sockets of which nothing has moved for so long are full */
#define FIRST_US 10000000 /* the same, as long as the first notification of one is awaited */
#define TICK_MS 50
#define MAX_SOCKETS 1024
#define NOBODY 65534

static const char about[] =
	"tx-client: sends with MSG_ZEROCOPY (or without), and counts what the kernel says of it.\n"
	"It is a server: tx-peer connects to it, and receives.\n"
	"\n"
	"  tx-client --behaviour B --name NAME --port P [options]\n"
	"\n"
	"Behaviours:\n"
	"  keep  send from fresh buffers with MSG_ZEROCOPY, and unmap each as soon as all of it is\n"
	"        sent: from then on only the kernel keeps its pages\n"
	"  ring  send from a few buffers with MSG_ZEROCOPY, each filled anew once the kernel has\n"
	"        said that it has let go of it\n"
	"  copy  send as usual: the kernel copies\n"
	"\n"
	"Commands on standard input, one a line: stop (send no more), release (reset every\n"
	"connection: the kernel drops what it has), leave DIR (move to another cgroup), quit.\n"
	"End of file means quit. Who quits leaves to the kernel what is still on its way.\n"
	"\n"
	"Events, one JSON object a line on standard output:\n"
	"  ready     it listens: name, behaviour, port, pid, uid, cgroup, optmem_max, memlock\n"
	"  accepted  all connections are there: sockets, sndbuf (SO_SNDBUF of the first)\n"
	"  progress  while something changes, once 100 ms have passed or 1 MiB more is kept\n"
	"  holding   no more is sent: reason complete, full (nothing moved for a second), refused\n"
	"            (the same, for ENOBUFS), stopped or error; errno, call\n"
	"  released  after release\n"
	"  left      after leave: cgroup\n"
	"  done      after quit; with --verify hash\n"
	"  error     message; exit status 1, or 2 for bad options\n"
	"Counters, bytes: sent, zerocopied, completed, copied, uncopied, unacked, anon, queued (copy),\n"
	"held. Others: sends, notified, twice, unknown, early (before the acknowledgement), refusals,\n"
	"refusal (errno of the first).\n";

enum phase { ACCEPTING, SENDING, HOLDING, RELEASED };

static struct client self;
static enum phase phase = ACCEPTING;
static int listener = -1;
static uint64_t last_progress, kept_then, still_since, moved_then;
static struct counters told;
static struct pollfd *fds; /* standard input, then the listener or the lanes */

/* --- buffers --- */

static void unmap(struct slot *s)
{
	if (!s->at)
		return;
	munmap(s->at, self.chunk);
	s->at = NULL;
	self.now.anon -= self.chunk;
}

static void map(struct slot *s)
{
	void *at;

	if (s->at)
		return;
	at = mmap(NULL, self.chunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		die(1, "no memory for a buffer: %s", strerror(errno));
	madvise(at, self.chunk, MADV_NOHUGEPAGE);
	s->at = at;
	self.now.anon += self.chunk;
}

/* Whether the buffer that is sent next may be written to: the kernel has let go of all that was sent from it. */
static bool is_ours(const struct lane *l, const struct slot *s)
{
	return self.behaviour != RING || s->last <= l->next;
}

/* Every page is written to, so that it is there; what the peer does not look at need not be made for each byte. */
static void fill(struct lane *l, unsigned char *to, size_t len)
{
	size_t i;

	if (self.verify) {
		pattern_fill(l->pattern, l->offset, to, len);
		return;
	}
	for (i = 0; i < len; i += PAGE)
		pattern_fill(l->pattern, l->offset + i, to + i, len - i < 64 ? len - i : 64);
}

/* Readies the next buffer; false when there is nothing left, or no buffer is ours. */
static bool refill(struct lane *l)
{
	unsigned next = self.behaviour == RING ? (l->slot + 1) % SLOTS : l->slot;
	struct slot *s = &l->slots[next];
	size_t n = l->left < self.chunk ? l->left : self.chunk;

	if (!n || !is_ours(l, s))
		return false;
	map(s);
	fill(l, s->at, n);
	l->slot = next;
	l->offset += n;
	l->left -= self.bytes ? n : 0;
	l->start = 0;
	l->end = n;
	return true;
}

static bool has_more(const struct lane *l)
{
	return l->start < l->end || l->left;
}

/* All of a buffer is with the kernel. */
static void sent_whole(struct lane *l)
{
	struct slot *s = &l->slots[l->slot];

	s->last = l->sends;
	l->start = l->end = 0;
	if (self.behaviour == KEEP)
		unmap(s);
}

/* --- sending --- */

static void refuse(struct lane *l)
{
	l->refused = true;
	if (!self.now.refusals++)
		self.now.refusal = errno;
}

/*
 * A peer that waits acknowledges no more than its window, and a notification waits for the whole of a send and of those
 * that followed it. So what is kept begins with one page, and its notification comes before there is more: without it
 * nobody would know whether the kernel copies what it keeps.
 */
static bool awaits_first(const struct lane *l)
{
	return self.behaviour == KEEP && l->sends == 1 && !l->heard[0];
}

/* One send; false when the socket takes no more. */
static bool send_some(struct lane *l)
{
	bool zerocopy = self.behaviour != COPY;
	size_t size;
	ssize_t took;

	if (awaits_first(l) || (l->start == l->end && !refill(l)))
		return false;
	size = self.behaviour == KEEP && !l->sends && l->end > PAGE ? PAGE : l->end - l->start;
	took = send(l->fd, l->slots[l->slot].at + l->start, size,
		    MSG_NOSIGNAL | (zerocopy ? MSG_ZEROCOPY : 0));
	if (took < 0 && errno == ENOBUFS)
		refuse(l);
	else if (took < 0 && errno != EAGAIN && errno != EINTR) {
		self.failed = "send";
		self.failure = errno;
	}
	if (took <= 0)
		return false;
	if (self.verify)
		stream_hash_add(&l->hash, l->slots[l->slot].at + l->start, (size_t)took);
	l->start += (size_t)took;
	l->sent += (uint64_t)took;
	self.now.sent += (uint64_t)took;
	if (zerocopy)
		zerocopy_note(&self, l, (size_t)took);
	if (l->start == l->end)
		sent_whole(l);
	return true;
}

static void drop_buffers(void)
{
	unsigned k, i;

	for (k = 0; k < self.lane_count; k++)
		for (i = 0; i < SLOTS; i++)
			unmap(&self.lanes[k].slots[i]);
}

static void hold_now(const char *reason)
{
	phase = HOLDING;
	if (self.behaviour != RING)
		drop_buffers();
	zerocopy_look(&self);
	say_holding(&self, reason);
}

/* By what is kept as well as by the clock. */
static void progress(void)
{
	uint64_t now = now_us(), kept = self.now.held + self.now.queued;

	zerocopy_look(&self);
	if (!memcmp(&told, &self.now, sizeof(told)) || (now - last_progress < PROGRESS_US && kept < kept_then + KEPT))
		return;
	told = self.now;
	last_progress = now;
	kept_then = kept;
	say(&self, "progress");
}

static void look_for_the_end(bool more)
{
	/* What is acknowledged or let go moves as well: soon there is room again. Each of them only grows. */
	uint64_t now = now_us(), moved = self.now.sent + self.now.completed + (self.now.sent - self.now.unacked), k;
	bool refused = false, first = false;

	if (moved > moved_then) {
		moved_then = moved;
		still_since = now;
	}
	for (k = 0; k < self.lane_count; k++) {
		refused |= self.lanes[k].refused;
		first |= awaits_first(&self.lanes[k]);
	}
	if (self.failed)
		hold_now("error");
	else if (!more)
		hold_now("complete");
	else if (now - still_since >= (first ? FIRST_US : STILL_US) && (self.now.sent || refused))
		hold_now(refused ? "refused" : "full");
}

static void serve(struct lane *l, short events, bool tick)
{
	if (self.behaviour != COPY && zerocopy_hear(&self, l))
		l->refused = false;
	if (phase != SENDING || self.failed || !has_more(l))
		return;
	/* One that was refused has no other signal than a notification, which may be another socket's. */
	if (tick ? l->refused : events & POLLOUT)
		while (send_some(l) && !self.failed)
			progress();
}

static void serve_all(bool tick)
{
	bool more = false;
	unsigned k;

	for (k = 0; k < self.lane_count; k++) {
		serve(&self.lanes[k], fds[k + 1].revents, tick);
		more |= has_more(&self.lanes[k]);
	}
	progress();
	if (phase == SENDING)
		look_for_the_end(more);
}

/* --- commands --- */

static void release_all(void)
{
	struct linger reset = {.l_onoff = 1, .l_linger = 0};
	unsigned k;

	for (k = 0; k < self.lane_count; k++) {
		setsockopt(self.lanes[k].fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(self.lanes[k].fd);
		self.lanes[k].fd = -1;
	}
	if (listener >= 0)
		close(listener);
	listener = -1;
	drop_buffers();
	phase = RELEASED;
	zerocopy_look(&self);
	say(&self, "released");
}

static void leave(const char *dir)
{
	if (cgroup_join(dir) < 0)
		die(1, "cannot join cgroup %s: %s", dir, strerror(errno));
	say_left(&self, dir);
}

static void quit(void)
{
	unsigned k;

	for (k = 0; k < self.lane_count && phase != RELEASED && self.behaviour != COPY; k++)
		zerocopy_hear(&self, &self.lanes[k]);
	drop_buffers();
	zerocopy_look(&self);
	say_done(&self);
	exit(0);
}

static void obey(const char *command)
{
	if (!strcmp(command, "release"))
		release_all();
	else if (!strcmp(command, "stop")) {
		if (phase == SENDING)
			hold_now("stopped");
	} else if (!strncmp(command, "leave ", 6) && command[6])
		leave(command + 6);
	else if (!strcmp(command, "quit"))
		quit();
	else if (*command)
		die(1, "unknown command \"%s\"", command);
}

/* --- connections --- */

static void open_listener(void)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)self.port)}, bound;
	int on = 1, off = 0, size = (int)self.sndbuf;
	socklen_t len = sizeof(bound);

	listener = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (listener < 0)
		die(1, "socket: %s", strerror(errno));
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	/* Accepted sockets inherit it; later this program may not be allowed to. */
	if (self.sndbuf && setsockopt(listener, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(listener, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (bind(listener, (void *)&any, sizeof(any)) < 0 || listen(listener, (int)self.sockets) < 0)
		die(1, "cannot listen on port %d: %s", (int)self.port, strerror(errno));
	if (getsockname(listener, (struct sockaddr *)&bound, &len) == 0)
		self.port = ntohs(bound.sin6_port);
}

static void begin_sending(void)
{
	int size = 0;
	socklen_t len = sizeof(size);

	close(listener);
	listener = -1;
	phase = SENDING;
	still_since = now_us();
	getsockopt(self.lanes[0].fd, SOL_SOCKET, SO_SNDBUF, &size, &len);
	say_accepted(&self, (uint64_t)size);
}

static void accept_lanes(void)
{
	int fd, on = 1;

	while (self.lane_count < self.sockets) {
		struct lane *l = &self.lanes[self.lane_count];

		fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
			return;
		if (fd < 0)
			die(1, "accept: %s", strerror(errno));
		if (self.behaviour != COPY && setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof(on)) < 0)
			die(1, "SO_ZEROCOPY: %s", strerror(errno));
		l->fd = fd;
		l->pattern = pattern_of(self.seed, self.lane_count);
		l->left = self.bytes ? self.bytes / self.sockets + (self.lane_count < self.bytes % self.sockets)
				     : UINT64_MAX;
		self.lane_count++;
	}
	begin_sending();
}

static unsigned fill_poll(void)
{
	unsigned k;

	fds[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = listener, .events = POLLIN};
	if (phase == ACCEPTING)
		return 2;
	if (phase == RELEASED)
		return 1;
	for (k = 0; k < self.lane_count; k++) {
		struct lane *l = &self.lanes[k];
		bool wants = phase == SENDING && has_more(l) && !l->refused && !awaits_first(l) &&
			     (l->start < l->end || self.behaviour != RING || is_ours(l, &l->slots[(l->slot + 1) % SLOTS]));

		/* POLLERR, which a notification raises, comes unasked. A peer that hung up would raise it for ever. */
		fds[k + 1] = (struct pollfd){.fd = wants || l->next < l->sends ? l->fd : -1,
					     .events = wants ? POLLOUT : 0};
	}
	return self.lane_count + 1;
}

__attribute__((noreturn)) static void run(void)
{
	for (;;) {
		int n = poll(fds, fill_poll(), phase == SENDING || phase == HOLDING ? TICK_MS : -1);

		if (n < 0 && errno != EINTR)
			die(1, "poll: %s", strerror(errno));
		if (n > 0 && fds[0].revents)
			commands_read(obey, quit);
		if (phase == ACCEPTING)
			accept_lanes();
		else if (phase != RELEASED)
			serve_all(n == 0);
	}
}

/* --- start --- */

static enum behaviour behaviour_find(const char *name)
{
	if (!strcmp(name, "keep"))
		return KEEP;
	if (!strcmp(name, "ring"))
		return RING;
	if (strcmp(name, "copy"))
		options_problem("there is no behaviour \"%s\"", name);
	return COPY;
}

static void parse_options(int argc, char **argv)
{
	struct option_row rows[] = {
		{"behaviour", OPT_TEXT, &self.behaviour_name, "B", "keep, ring or copy", 0, 0, true},
		{"name", OPT_TEXT, &self.name, "NAME", "said in the ready event", 0, 0, true},
		{"port", OPT_NUMBER, &self.port, "P", "listen here; 0: any, see ready", 0, 65535, true},
		{"sockets", OPT_NUMBER, &self.sockets, "S", "connections to accept, default 1", 1, MAX_SOCKETS, false},
		{"bytes", OPT_NUMBER, &self.bytes, "N", "bytes in all, default 0: until stopped", 0, INT64_MAX, false},
		{"cgroup", OPT_TEXT, &self.cgroup, "DIR", "move there before anything else", 0, 0, false},
		{"verify", OPT_FLAG, &self.verify, NULL, "make every byte, and hash it", 0, 0, false},
		{"seed", OPT_NUMBER, &self.seed, "X", "seed of the content, default 0", 0, UINT64_MAX, false},
		{"chunk", OPT_NUMBER, &self.chunk, "N", "bytes of a buffer, default 64K", PAGE, 16 << 20, false},
		{"sndbuf", OPT_NUMBER, &self.sndbuf, "N", "SO_SNDBUF of the connections", 1, INT32_MAX, false},
		{"memlock", OPT_NUMBER, &self.memlock, "N", "become nobody, with that RLIMIT_MEMLOCK", PAGE, INT64_MAX,
		 false},
	};

	self.sockets = 1;
	self.chunk = 64 << 10;
	options_parse(argc, argv, rows, sizeof(rows) / sizeof(rows[0]), about);
	if (self.behaviour_name)
		self.behaviour = behaviour_find(self.behaviour_name);
	if (self.chunk % PAGE)
		options_problem("--chunk must be a multiple of %lu", PAGE);
	options_done();
}

/* What it sends counts against the limit of its user, unless it may lock memory: mm_account_pinned_pages(). */
static void become_nobody(void)
{
	struct rlimit limit = {.rlim_cur = self.memlock, .rlim_max = self.memlock};

	if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		die(1, "RLIMIT_MEMLOCK: %s", strerror(errno));
	if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
		die(1, "cannot become nobody: %s", strerror(errno));
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	if (self.cgroup && cgroup_join(self.cgroup) < 0)
		die(1, "cannot join cgroup %s: %s", self.cgroup, strerror(errno));
	oom_score_set(0); /* the SSH server, whose child it is, is protected */
	signal(SIGPIPE, SIG_IGN);
	self.lanes = calloc(self.sockets, sizeof(*self.lanes));
	fds = calloc(self.sockets + 2, sizeof(*fds));
	if (!self.lanes || !fds)
		die(1, "no memory for %d sockets", (int)self.sockets);
	open_listener();
	if (self.memlock)
		become_nobody();
	commands_prepare();
	say_ready(&self);
	run();
}
