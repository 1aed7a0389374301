// SPDX-License-Identifier: GPL-2.0-only
/* zc-client: the receiving half of a run; a server that accepts, receives and behaves as it is told. */
#define _GNU_SOURCE
#include "zc-client.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "commands.h"
#include "count-mark.h"
#include "guestproc.h"
#include "labjson.h"
#include "options.h"

#define PROGRESS_US 100000
#define KEPT (1ul << 20) /* bytes more that it keeps are worth a line, however soon */
#define STILL_US 500000 /* `slow`: queues that have not grown for so long are full */
#define TICK_MS 50
#define LOWAT (64 << 10)
#define MAX_SOCKETS 4096

static const char about[] =
	"zc-client: receives with TCP_ZEROCOPY_RECEIVE (or recv) and keeps, pins or returns the pages.\n"
	"It is a server: zc-sender connects to it.\n"
	"\n"
	"  zc-client --behaviour B --name NAME --port P [options]\n"
	"\n"
	"Behaviours:\n"
	"  map           map a chunk, read it, unmap it\n"
	"  copy          recv() into fresh anonymous memory, kept (or a ring of it, with --ring)\n"
	"  drop          have the kernel throw the bytes away: what link and TCP carry at most\n"
	"  slow          accept and never read\n"
	"  hold          map and never unmap\n"
	"  hold-or-copy  as hold, and what TCP_ZEROCOPY_RECEIVE refuses is received by copy\n"
	"  copybuf       as hold, with another buffer to copy into each time, and a look ahead by MSG_PEEK\n"
	"                before it; the urgent byte of each stream (zc-sender --urgent) is read out of band\n"
	"  race          map over the same pages while they are unmapped, forked, moved and limited by others,\n"
	"                until the streams end; see --race-in\n"
	"  hold-no-hint  as hold, without telling the kernel that the range is unmapped\n"
	"  map-over      map over pages that are mapped, 16 MiB of address space over and over\n"
	"  map-over-no-hint  the same, without that hint\n"
	"  pin-vmsplice  map, vmsplice the pages into 1 MiB pipes, unmap\n"
	"  pin-tee       the same, then tee() and splice() them on to other pipes and close the first\n"
	"  pin-fork      map, fork a child that keeps the mapping, unmap\n"
	"  pin-sendzc    map, send with MSG_ZEROCOPY to a local peer that never reads, unmap\n"
	"  pin-uring     map, register as buffers of an io_uring, unmap\n"
	"What cannot be mapped is received into a small reused buffer.\n"
	"\n"
	"Commands on standard input, one a line: release (drop everything), leave DIR (move to\n"
	"another cgroup), heir (a child is forked that keeps what is mapped, and outlives it), exec\n"
	"(with --share-in: the other process calls execve(), and lives on), smaps (what its mappings\n"
	"are said to hold), cut HOW (an eighth of what the first socket's window holds is given to\n"
	"munmap, MADV_DONTNEED, MAP_FIXED, mremap or PROT_NONE: unmap, drop, cover, move, protect), grow N\n"
	" (take that many bytes of anonymous memory), quit. End of file means quit.\n"
	"\n"
	"Events, one JSON object a line on standard output:\n"
	"  ready     it listens: name, behaviour, port, pid, cgroup, pfn (1: sees page frames)\n"
	"  accepted  all connections are there: sockets\n"
	"  progress  while bytes arrive, once 100 ms have passed or 1 MiB more is kept\n"
	"  holding   delivery ended: reason complete, eof, full (slow) or error; errno, call\n"
	"  released  after release\n"
	"  left      after leave: cgroup\n"
	"  heir      after heir\n"
	"  execed    after exec\n"
	"  cut       after cut: how; resident, as smaps; errno, call\n"
	"  smaps     after smaps: resident, bytes of its areas by /proc/self/smaps\n"
	"  grown     after grow, if it lived\n"
	"  done      after quit; with --verify hash, mismatches, first_mismatch\n"
	"  error     message; exit status 1, or 2 for bad options\n"
	"Counters, bytes: delivered, mapped, copied, mapped_now, pinned, anon, distinct, held,\n"
	"queued (slow, and with --leave), dropped (drop), partner (with --share-in: held by the other one),\n"
	"and with copybuf, of copied: fallback (all that had come fitted into the buffer), straggled (after\n"
	"what was mapped), hinted (read because recv_skip_hint said so); peeked, urgent.\n";

enum phase { ACCEPTING, RECEIVING, HOLDING, RELEASED };

static struct client self;
static enum phase phase = ACCEPTING;
static const char *behaviour_name;
static uint64_t seed, rcvbuf;
static const char *accept_in;
static uint64_t last_progress, reported, kept_then, still_since;
static struct pollfd *fds; /* standard input, then who listens or the lanes */

static void hold_now(const char *reason)
{
	phase = HOLDING;
	count_mark(COUNT_END);
	say_holding(&self, reason);
}

/* By what is kept as well as by the clock: who is killed has said how much it was, however fast it went. */
static void progress(void)
{
	uint64_t now = now_us(), seen = delivered(&self) + self.queued, kept = kept_bytes(&self) + self.queued;

	if (seen == reported || (now - last_progress < PROGRESS_US && kept < kept_then + KEPT))
		return;
	reported = seen;
	last_progress = now;
	kept_then = kept;
	say(&self, "progress");
}

/* --- commands --- */

static void release_all(void)
{
	unsigned k;

	race_end();
	keep_nothing();
	share_end(&self);
	for (k = 0; k < self.lane_count; k++) {
		close(self.lanes[k].fd);
		self.lanes[k].fd = -1;
	}
	accept_done();
	self.mapped_now = self.pinned = self.anon = self.queued = 0;
	phase = RELEASED;
	say(&self, "released");
}

static void leave(const char *dir)
{
	if (cgroup_join(dir) < 0)
		die(1, "cannot join cgroup %s: %s", dir, strerror(errno));
	say_left(&self, dir);
}

/* Each MiB is told before the next is touched: the OOM killer gives no notice. */
static void grow(const char *size)
{
	uint64_t done, all = strtoull(size, NULL, 10);
	char *at = all ? keep_area(-1, all) : NULL;

	if (!at)
		die(1, "cannot grow by \"%s\" bytes: %s", size, all ? strerror(errno) : "not a number");
	for (done = 0; done < all; done += PAGE) {
		if (done % KEPT == 0)
			say(&self, "progress");
		at[done] = 1;
		self.anon += PAGE;
	}
	say(&self, "grown");
}

__attribute__((noreturn)) static void quit(void)
{
	say_done(&self);
	race_end();
	share_end(&self);
	exit(0);
}

static void obey(const char *command)
{
	if (!strcmp(command, "release"))
		release_all();
	else if (!strncmp(command, "leave ", 6) && command[6])
		leave(command + 6);
	else if (!strncmp(command, "cut ", 4) && cut(&self, command + 4))
		say_cut(&self, command + 4, keep_resident());
	else if (!strcmp(command, "heir") && leave_heir())
		say(&self, "heir");
	else if (!strcmp(command, "exec") && share_exec(&self))
		say(&self, "execed");
	else if (!strcmp(command, "smaps"))
		say_smaps(&self, keep_resident());
	else if (!strncmp(command, "grow ", 5))
		grow(command + 5);
	else if (!strcmp(command, "quit"))
		quit();
	else if (*command)
		die(1, "unknown command \"%s\"", command);
}

/* --- connections --- */

static void begin_receiving(void)
{
	accept_done();
	if (self.share_in)
		share_with(&self, self.share_in);
	if (self.race_in)
		race_begin(&self, self.race_in);
	phase = RECEIVING;
	still_since = now_us();
	behaviour_prepare(&self);
	say_accepted(&self);
	count_mark(COUNT_BEGIN);
}

/* Waking once per so many bytes lets one call map many pages. A tick serves what stays below that. */
static void accept_lanes(void)
{
	int fd, lowat = self.behaviour->lowat ? self.behaviour->lowat : LOWAT;

	while (self.lane_count < self.sockets) {
		fd = accept_next();
		if (fd < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED))
			return;
		if (fd < 0)
			die(1, "accept: %s", strerror(errno));
		if (!is_slow(&self))
			setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof(lowat));
		self.lanes[self.lane_count++].fd = fd;
	}
	begin_receiving();
}

/* --- receiving --- */

static void serve(struct lane *l)
{
	size_t got = 0, n = 0;

	if (lane_waits(&self, l))
		return;
	do { /* a chunk at most, then the next lane has its turn */
		n = remaining(&self) ? self.behaviour->take(&self, l) : 0;
		got += n;
	} while (n && got < self.chunk && !l->ended && !self.failure.call);
	if (self.behaviour->settle)
		self.behaviour->settle(&self, l);
	share_turn(&self, l);
}

static uint64_t queued_now(void)
{
	uint64_t sum = 0;
	unsigned k;
	int n;

	for (k = 0; k < self.lane_count; k++)
		sum += ioctl(self.lanes[k].fd, FIONREAD, &n) == 0 && n > 0 ? (uint64_t)n : 0;
	return sum;
}

static void serve_all(bool tick)
{
	bool alive = false;
	unsigned k;

	for (k = 0; k < self.lane_count && !self.failure.call; k++) {
		struct lane *l = &self.lanes[k];

		if (!l->ended && (tick || fds[k + 1].revents))
			serve(l);
		alive |= !l->ended;
		progress();
	}
	if (self.leave && (self.failure.call || !remaining(&self)))
		self.queued = queued_now();
	if (self.failure.call)
		hold_now("error");
	else if (!remaining(&self))
		hold_now("complete");
	else if (!alive)
		hold_now("eof");
}

static bool all_hung_up(void)
{
	unsigned k;

	for (k = 0; k < self.lane_count; k++) {
		struct pollfd p = {.fd = self.lanes[k].fd, .events = POLLRDHUP};

		if (poll(&p, 1, 0) != 1)
			return false;
	}
	return true;
}

static void watch_queues(void)
{
	uint64_t sum = queued_now(), now = now_us();

	if (sum > self.queued)
		still_since = now;
	self.queued = sum;
	progress();
	if (phase == HOLDING)
		return;
	if (self.bytes && sum >= self.bytes)
		hold_now("complete");
	else if (now - still_since >= STILL_US && all_hung_up())
		hold_now("eof");
	else if (now - still_since >= STILL_US && sum)
		hold_now("full");
}

static unsigned fill_poll(void)
{
	unsigned k;

	fds[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
	if (phase == ACCEPTING)
		return 1 + accept_poll(fds + 1);
	if (phase != RECEIVING || is_slow(&self))
		return 1;
	for (k = 0; k < self.lane_count; k++)
		fds[k + 1] = (struct pollfd){.fd = self.lanes[k].ended ? -1 : self.lanes[k].fd, .events = POLLIN};
	return self.lane_count + 1;
}

__attribute__((noreturn)) static void run(void)
{
	for (;;) {
		bool watching = is_slow(&self) && (phase == RECEIVING || phase == HOLDING);
		int n = poll(fds, fill_poll(), phase == RECEIVING || watching ? TICK_MS : -1);

		if (n < 0 && errno != EINTR)
			die(1, "poll: %s", strerror(errno));
		if (n > 0 && fds[0].revents)
			commands_read(obey, quit);
		if (phase == ACCEPTING)
			accept_lanes();
		else if (watching && phase != RELEASED)
			watch_queues();
		else if (phase == RECEIVING)
			serve_all(n == 0);
	}
}

/* --- start --- */

static void parse_options(int argc, char **argv)
{
	struct option_row rows[] = {
		{"behaviour", OPT_TEXT, &behaviour_name, "B", "map, copy, slow, hold, pin-vmsplice or another", 0, 0, true},
		{"name", OPT_TEXT, &self.name, "NAME", "said in the ready event", 0, 0, true},
		{"port", OPT_NUMBER, &self.port, "P", "listen here; 0: any, see ready", 0, 65535, true},
		{"sockets", OPT_NUMBER, &self.sockets, "S", "connections to accept, default 1", 1, MAX_SOCKETS, false},
		{"bytes", OPT_NUMBER, &self.bytes, "N", "bytes in all, default 0: until eof", 0, INT64_MAX, false},
		{"cgroup", OPT_TEXT, &self.cgroup, "DIR", "move there before anything else", 0, 0, false},
		{"accept-in", OPT_TEXT, &accept_in, "DIR", "another process accepts, in that cgroup", 0, 0, false},
		{"share-in", OPT_TEXT, &self.share_in, "DIR", "another process, in that cgroup, maps the socket as well", 0, 0,
		 false},
		{"race-in", OPT_TEXT, &self.race_in, "DIR", "race: cgroup of the processes that drive it", 0, 0, false},
		{"verify", OPT_FLAG, &self.verify, NULL, "check and hash every byte", 0, 0, false},
		{"seed", OPT_NUMBER, &seed, "X", "seed of the content, default 0", 0, UINT64_MAX, false},
		{"rcvbuf", OPT_NUMBER, &rcvbuf, "N", "SO_RCVBUF of the connections", 1, INT32_MAX, false},
		{"chunk", OPT_NUMBER, &self.chunk, "N", "bytes a call takes at most, default 1M", PAGE, 64 << 20,
		 false},
		{"leave", OPT_NUMBER, &self.leave, "N", "bytes of each stream to leave in its socket", 1, INT32_MAX,
		 false},
		{"most", OPT_NUMBER, &self.most, "N", "take no more once it keeps N bytes", 1, INT64_MAX, false},
		{"unkillable", OPT_FLAG, &self.unkillable, NULL, "oom_score_adj -1000; own memory taken ahead", 0, 0, false},
		{"ring", OPT_NUMBER, &self.ring, "N", "copy: reuse N bytes, default 0: keep all", 0, INT64_MAX, false},
	};

	self.sockets = 1;
	self.chunk = 1 << 20;
	self.mismatch.first = -1;
	options_parse(argc, argv, rows, sizeof(rows) / sizeof(rows[0]), about);
	self.behaviour = behaviour_name ? behaviour_find(behaviour_name) : NULL;
	if (behaviour_name && !self.behaviour)
		options_problem("there is no behaviour \"%s\"", behaviour_name);
	if (self.ring && (!self.behaviour || strcmp(behaviour_name, "copy")))
		options_problem("--ring goes with --behaviour copy");
	if (self.leave && self.bytes / self.sockets <= self.leave)
		options_problem("--leave needs --bytes, and less than each socket's share of them");
	if (self.unkillable && (!self.behaviour || !self.behaviour->keeps_windows))
		options_problem("--unkillable goes with --behaviour hold or hold-or-copy");
	if ((self.leave || self.unkillable) && (!self.bytes || self.bytes % self.sockets))
		options_problem("--leave and --unkillable go with --bytes that are a multiple of --sockets");
	if (!self.race_in != !(self.behaviour && self.behaviour->take == take_racing) || (self.race_in && self.verify))
		options_problem("--race-in goes with --behaviour race, and without --verify");
	if (self.share_in && (!self.behaviour || strcmp(behaviour_name, "hold") || self.sockets > 1 || self.verify))
		options_problem("--share-in goes with --behaviour hold, one socket, and no --verify");
	if (self.verify && self.behaviour && !strcmp(behaviour_name, "drop"))
		options_problem("--verify: drop sees no byte");
	if (self.chunk % PAGE)
		options_problem("--chunk must be a multiple of %lu", PAGE);
	options_done();
}

int main(int argc, char **argv)
{
	unsigned k;

	if (argc == 2 && !strcmp(argv[1], SHARE_IDLE)) /* not of the options: only a partner calls us so */
		share_idle();
	parse_options(argc, argv);
	if (self.cgroup && cgroup_join(self.cgroup) < 0)
		die(1, "cannot join cgroup %s: %s", self.cgroup, strerror(errno));
	if (self.race_in)
		self.bytes = 0; /* others take some of them */
	oom_score_set(self.unkillable || self.race_in ? -1000 : 0); /* an ordinary user may not lower it; `ready` says what it is */
	signal(SIGPIPE, SIG_IGN);
	self.lanes = calloc(self.sockets, sizeof(*self.lanes));
	fds = calloc(self.sockets + 2, sizeof(*fds));
	if (!self.lanes || !fds)
		die(1, "no memory for %d sockets", (int)self.sockets);
	for (k = 0; k < self.sockets; k++)
		self.lanes[k].pattern = pattern_of(seed, k);
	/* At its limit a process that may not be killed repeats a page fault for ever. */
	keep_prepare(self.unkillable);
	commands_prepare();
	self.port = accept_listen(self.port, self.sockets, rcvbuf);
	if (accept_in)
		accept_elsewhere(self.sockets, accept_in);
	say_ready(&self);
	run();
}
