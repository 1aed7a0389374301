// SPDX-License-Identifier: GPL-2.0-only
/*
 * A second process, in another cgroup, that maps the client's socket as well.
 * Each has a mapping of its own, and they take turns at receiving. It has the
 * socket by fork(), and says nothing: the client tells of both.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guestproc.h"
#include "labjson.h"
#include "zc-client.h"

#define TURN (1ul << 20)
#define TICK_MS 50

static int partner = -1; /* -1: there is none */
static pid_t partner_pid;

/* What the partner has to say when its turn is over. */
struct took {
	uint64_t mapped, copied; /* in this turn */
	uint64_t held;		 /* in all */
	int err;		 /* 0: none */
	bool ended;
};

static void take_turn(struct client *c, struct lane *l, uint64_t most, struct took *t)
{
	struct pollfd p = {.fd = l->fd, .events = POLLIN};
	uint64_t mapped = c->mapped, copied = c->copied, before;
	bool ready = true;

	c->bytes = delivered(c) + most;
	while (remaining(c) && !l->ended && !c->failure.call) {
		before = delivered(c);
		c->behaviour->take(c, l);
		c->behaviour->settle(c, l);
		if (delivered(c) > before)
			continue;
		if (!ready) /* a tick has passed, and nothing came: the client has other things to do */
			break;
		ready = poll(&p, 1, TICK_MS) > 0;
	}
	*t = (struct took){c->mapped - mapped, c->copied - copied, kept_bytes(c), c->failure.err, l->ended};
}

/* Another program instead of us. All that we had mapped goes with our address space; the process lives on. */
__attribute__((noreturn)) static void become_idle(int from)
{
	dup2(from, STDIN_FILENO);
	execl("/proc/self/exe", "zc-client", SHARE_IDLE, NULL);
	_exit(1);
}

__attribute__((noreturn)) void share_idle(void)
{
	char byte = 1;

	if (send(STDIN_FILENO, &byte, 1, MSG_NOSIGNAL) == 1) /* the old address space is gone by now */
		while (recv(STDIN_FILENO, &byte, 1, 0) > 0)
			;
	_exit(0);
}

__attribute__((noreturn)) static void be_partner(struct client *c, const char *dir, int from)
{
	struct took t;
	uint64_t most;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close_range(STDIN_FILENO, STDOUT_FILENO, 0);
	if (cgroup_join(dir) < 0)
		_exit(1);
	keep_prepare(false); /* its own page table */
	while (recv(from, &most, sizeof(most), 0) == sizeof(most)) {
		if (!most)
			become_idle(from);
		take_turn(c, &c->lanes[0], most, &t);
		if (send(from, &t, sizeof(t), MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

void share_with(struct client *c, const char *dir)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		die(1, "socketpair: %s", strerror(errno));
	partner_pid = fork();
	if (partner_pid < 0)
		die(1, "fork: %s", strerror(errno));
	if (partner_pid == 0) {
		close(ends[0]);
		be_partner(c, dir, ends[1]);
	}
	close(ends[1]);
	partner = ends[0];
}

void share_turn(struct client *c, struct lane *l)
{
	uint64_t most = remaining(c) < TURN ? remaining(c) : TURN;
	struct took t;

	if (partner < 0 || !most)
		return;
	if (send(partner, &most, sizeof(most), MSG_NOSIGNAL) < 0 || recv(partner, &t, sizeof(t), 0) != sizeof(t)) {
		fail(c, "the partner's turn", EPIPE);
		return;
	}
	c->mapped += t.mapped;
	c->copied += t.copied;
	c->partner = t.held;
	l->offset += t.mapped + t.copied;
	l->ended |= t.ended;
	if (t.err)
		fail(c, "TCP_ZEROCOPY_RECEIVE", t.err);
}

bool share_exec(struct client *c)
{
	uint64_t none = 0;
	char byte;

	if (partner < 0 || send(partner, &none, sizeof(none), MSG_NOSIGNAL) < 0 || recv(partner, &byte, 1, 0) != 1)
		return false;
	c->partner = 0;
	return true;
}

void share_end(struct client *c)
{
	if (partner < 0)
		return;
	kill(partner_pid, SIGKILL);
	waitpid(partner_pid, NULL, 0);
	close(partner);
	partner = -1;
	c->partner = 0;
}
