// SPDX-License-Identifier: GPL-2.0-only
/* lab-press: takes anonymous memory until somebody else has to give some back, and keeps it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guestproc.h"
#include "labjson.h"
#include "options.h"

#define PAGE 4096ul
#define STEP (64 * PAGE) /* between two looks */

static const char about[] =
	"lab-press: writes to N bytes of fresh anonymous memory and keeps them until its standard input ends.\n"
	"\n"
	"  lab-press --bytes N [--until-stall] [--cgroup DIR]\n"
	"\n"
	"--until-stall: it takes no more once an allocation had to reclaim what it needs (allocstall of /proc/vmstat).\n"
	"Should memory run out, it is the first that the OOM killer takes.\n"
	"Events: ready (bytes), pressed (bytes: all of them are resident; stalls since ready), error.\n";

static const char *cgroup;
static uint64_t bytes;
static bool until_stall;

/* Direct reclaims of all zones since boot. */
static int64_t stalls(void)
{
	static char text[32768];
	int64_t sum = 0;
	char *at = text;

	if (slurp_at(AT_FDCWD, "/proc/vmstat", text, sizeof(text)) < 0)
		die(1, "cannot read /proc/vmstat: %s", strerror(errno));
	while ((at = strstr(at, "allocstall"))) {
		at += strcspn(at, " \n");
		sum += strtoll(at, NULL, 10);
	}
	return sum;
}

static void say(const char *event, uint64_t size, int64_t since)
{
	static char line[512];
	struct json j;

	json_start(&j, line, sizeof(line), event);
	json_num(&j, "bytes", (int64_t)size);
	json_num(&j, "stalls", since);
	json_finish(&j);
	if (!json_emit(&j))
		_exit(1); /* nobody listens any more */
}

int main(int argc, char **argv)
{
	struct option_row rows[] = {
		{"bytes", OPT_NUMBER, &bytes, "N", "how much to take", PAGE, INT64_MAX, true},
		{"until-stall", OPT_FLAG, &until_stall, NULL, "take no more once an allocation has stalled", 0, 0, false},
		{"cgroup", OPT_TEXT, &cgroup, "DIR", "move there before anything else", 0, 0, false},
	};
	char *at, byte;
	int64_t before, since = 0;
	uint64_t i;

	options_parse(argc, argv, rows, sizeof(rows) / sizeof(rows[0]), about);
	options_done();
	if (cgroup && cgroup_join(cgroup) < 0)
		die(1, "cannot join cgroup %s: %s", cgroup, strerror(errno));
	oom_score_set(1000);
	before = stalls();
	say("ready", bytes, 0);
	at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		die(1, "mmap: %s", strerror(errno));
	madvise(at, bytes, MADV_NOHUGEPAGE); /* page by page, or the last step would be 2 MiB */
	for (i = 0; i < bytes && !(until_stall && since); i += PAGE) {
		at[i] = 1;
		if (until_stall && i % STEP == 0)
			since = stalls() - before;
	}
	say("pressed", i < bytes ? i : bytes, since);
	while (read(STDIN_FILENO, &byte, 1) > 0 || errno == EINTR)
		errno = 0;
	return 0;
}
