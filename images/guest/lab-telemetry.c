// SPDX-License-Identifier: GPL-2.0-only
/* lab-telemetry: what the machine and its cgroups look like, many times a second, come what may. */
#define _GNU_SOURCE
#include "lab-telemetry.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "guestproc.h"
#include "options.h"

static const char about[] =
	"lab-telemetry: samples memory, network and cgroups, one JSON object a line.\n"
	"\n"
	"  lab-telemetry --out PORT --interval MS [--socket PATH] [--root DIR]   for ever\n"
	"  lab-telemetry --once NAME [--pages] [--canary TOKEN] [--socket PATH] [--root DIR]\n"
	"                                                         one checkpoint on standard output\n"
	"\n"
	"For ever: locked in memory, never chosen by the OOM killer, no allocation after the\n"
	"start. A line that the reader does not take is dropped; seq counts it all the same.\n"
	"At its socket it can be asked for a sample between two of its interval.\n"
	"A checkpoint has event checkpoint, its name, and what the kernel tells of its page pools;\n"
	"with --pages also the number of plain, free, mapped_uncharged, offline and charged pages\n"
	"of the whole machine (needs root);\n"
	"with --socket the one that listens there takes a sample before it and one after it.\n"
	"With --canary it leaves a line in the kernel's log, and tells what the log has of it.\n"
	"Fields: t, seq, meminfo, vmstat, pcp_pages, tainted, net, dying, cg. See docs/formats.md.\n";

static const char *out, *once, *canary, *asked_at, *root = "/sys/fs/cgroup/lab";
static uint64_t interval_ms, samples;
static bool pages;

static char line[128 << 10];
static size_t unsent_at, unsent_end; /* the rest of a line that was taken in part only */

static void compose(struct json *j, const char *event, int64_t seq)
{
	static struct children children;

	json_start(j, line, sizeof(line), event);
	if (once)
		json_str(j, "name", once);
	json_num(j, "seq", seq);
	sample_system(j);
	sample_cgroups(j, root, &children);
	if (once) {
		sample_parent(j, root);
		sample_pools(j);
	}
	if (pages)
		sample_pages(j, &children);
	if (canary)
		sample_kmsg(j, canary);
	json_finish(j);
	if (j->overflow)
		die(1, "a sample does not fit into %zu bytes", sizeof(line));
}

/* Writes what the reader takes now. A reader that is gone for good ends us; one that is slow does not. */
static void push(int fd)
{
	ssize_t n;

	while (unsent_at < unsent_end) {
		n = write(fd, line + unsent_at, unsent_end - unsent_at);
		if (n < 0 && errno == EPIPE)
			exit(1);
		if (n <= 0)
			return;
		unsent_at += (size_t)n;
	}
}

static void sample_into(int fd, int64_t seq)
{
	struct json j;

	push(fd);
	if (unsent_at < unsent_end && unsent_at > 0)
		return; /* the line before is half out: this one is lost, or both would be */
	compose(&j, NULL, seq);
	unsent_at = 0;
	unsent_end = j.len;
	push(fd);
}

static int open_out(void)
{
	int fd = strcmp(out, "-") ? open(out, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : dup(STDOUT_FILENO);

	if (fd < 0)
		die(1, "%s: %s", out, strerror(errno));
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return fd;
}

/* A cadence by absolute time: being late once does not shift what follows. */
static int open_timer(void)
{
	struct timespec now;
	struct itimerspec every;
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	clock_gettime(CLOCK_MONOTONIC, &now);
	every.it_value = now; /* the first one at once */
	every.it_interval.tv_sec = (time_t)(interval_ms / 1000);
	every.it_interval.tv_nsec = (long)(interval_ms % 1000 * 1000000);
	if (fd < 0 || timerfd_settime(fd, TFD_TIMER_ABSTIME, &every, NULL) < 0)
		die(1, "timerfd: %s", strerror(errno));
	return fd;
}

/* Not fatal: an ordinary user on a workstation may do neither. */
static void protect(void)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE) < 0)
		fprintf(stderr, "lab-telemetry: mlockall: %s\n", strerror(errno));
	if (oom_score_set(-1000) < 0)
		fprintf(stderr, "lab-telemetry: oom_score_adj: %s\n", strerror(errno));
}

static void run(void)
{
	struct pollfd due[] = {{ .fd = open_timer(), .events = POLLIN }, { .fd = -1, .events = POLLIN }};
	int fd = open_out();
	uint64_t ticks, seq;
	int asker;

	if (asked_at)
		due[1].fd = ask_listen(asked_at);
	signal(SIGPIPE, SIG_IGN);
	protect();
	for (seq = 0; !samples || seq < samples; seq++) {
		while (poll(due, 2, -1) < 0)
			if (errno != EINTR)
				die(1, "poll: %s", strerror(errno));
		if ((due[0].revents & POLLIN) && read(due[0].fd, &ticks, sizeof(ticks)) < 0)
			die(1, "timerfd: %s", strerror(errno));
		asker = due[1].revents & POLLIN ? ask_taken(due[1].fd) : -1;
		sample_into(fd, (int64_t)seq);
		if (asker >= 0)
			ask_answered(asker);
	}
}

static bool checkpoint(void)
{
	struct json j;

	if (asked_at)
		ask(asked_at);
	compose(&j, "checkpoint", 0);
	if (asked_at)
		ask(asked_at);
	return json_emit(&j);
}

static void parse_options(int argc, char **argv)
{
	struct option_row rows[] = {
		{"out", OPT_TEXT, &out, "PORT", "file or virtio-serial port; - for standard output", 0, 0, false},
		{"interval", OPT_NUMBER, &interval_ms, "MS", "milliseconds between samples", 1, 3600000, false},
		{"samples", OPT_NUMBER, &samples, "N", "stop after N samples, default 0: never", 0, INT64_MAX, false},
		{"once", OPT_TEXT, &once, "NAME", "print one checkpoint of this name", 0, 0, false},
		{"pages", OPT_FLAG, &pages, NULL, "with --once: count pages too", 0, 0, false},
		{"canary", OPT_TEXT, &canary, "TOKEN", "with --once: leave this in the kernel's log", 0, 0, false},
		{"socket", OPT_TEXT, &asked_at, "PATH", "where to be asked for a sample; with --once: where to ask", 0, 0,
		 false},
		{"root", OPT_TEXT, &root, "DIR", "its child cgroups are sampled, default /sys/fs/cgroup/lab", 0, 0,
		 false},
	};

	options_parse(argc, argv, rows, sizeof(rows) / sizeof(rows[0]), about);
	if (once && (out || interval_ms || samples))
		options_problem("--once goes without --out, --interval and --samples");
	if (!once && (!out || !interval_ms))
		options_problem("--out and --interval, or --once, are needed");
	if (!once && (pages || canary))
		options_problem("--pages and --canary go with --once");
	options_done();
}

int main(int argc, char **argv)
{
	parse_options(argc, argv);
	sample_prepare();
	if (once)
		return checkpoint() ? 0 : 1;
	run();
	return 0;
}
