// SPDX-License-Identifier: GPL-2.0-only
/* What tx-client says: one line an event, the counters on each. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "guestproc.h"
#include "labjson.h"
#include "tx-client.h"

static char line[8192];

static void start(struct json *j, const char *event)
{
	json_start(j, line, sizeof(line), event);
}

static void send_line(struct json *j)
{
	json_finish(j);
	if (!json_emit(j))
		exit(1); /* nobody listens any more */
}

static void finish(struct json *j, const struct client *c)
{
	const struct counters *now = &c->now;

	json_num(j, "sent", (int64_t)now->sent);
	json_num(j, "zerocopied", (int64_t)now->zerocopied);
	json_num(j, "completed", (int64_t)now->completed);
	json_num(j, "copied", (int64_t)now->copied);
	json_num(j, "uncopied", (int64_t)(now->completed - now->copied));
	json_num(j, "unacked", (int64_t)now->unacked);
	json_num(j, "anon", (int64_t)now->anon);
	json_num(j, "queued", (int64_t)now->queued);
	json_num(j, "held", (int64_t)now->held);
	json_num(j, "sends", (int64_t)now->sends);
	json_num(j, "notified", (int64_t)now->notified);
	json_num(j, "twice", (int64_t)now->twice);
	json_num(j, "unknown", (int64_t)now->unknown);
	json_num(j, "early", (int64_t)now->early);
	json_num(j, "refusals", (int64_t)now->refusals);
	json_num(j, "refusal", now->refusal);
	send_line(j);
}

static int64_t optmem(void)
{
	char text[32];

	return slurp_at(AT_FDCWD, "/proc/sys/net/core/optmem_max", text, sizeof(text)) < 0 ? 0 : atoll(text);
}

void say_ready(const struct client *c)
{
	struct rlimit limit;
	struct json j;

	start(&j, "ready");
	json_str(&j, "name", c->name);
	json_str(&j, "behaviour", c->behaviour_name);
	json_num(&j, "port", (int64_t)c->port);
	json_num(&j, "pid", getpid());
	json_num(&j, "uid", getuid());
	json_str(&j, "cgroup", c->cgroup);
	json_num(&j, "oom_score_adj", oom_score_get());
	json_num(&j, "optmem_max", optmem());
	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		json_num(&j, "memlock", (int64_t)limit.rlim_cur);
	send_line(&j);
}

void say_accepted(const struct client *c, uint64_t sndbuf)
{
	struct json j;

	start(&j, "accepted");
	json_num(&j, "sockets", (int64_t)c->sockets);
	json_num(&j, "sndbuf", (int64_t)sndbuf);
	finish(&j, c);
}

void say(const struct client *c, const char *event)
{
	struct json j;

	start(&j, event);
	finish(&j, c);
}

void say_holding(const struct client *c, const char *reason)
{
	struct json j;

	start(&j, "holding");
	json_str(&j, "reason", reason);
	if (c->failed) {
		json_num(&j, "errno", c->failure);
		json_str(&j, "call", c->failed);
	}
	finish(&j, c);
}

void say_left(const struct client *c, const char *cgroup)
{
	struct json j;

	start(&j, "left");
	json_str(&j, "cgroup", cgroup);
	finish(&j, c);
}

void say_done(const struct client *c)
{
	struct json j;
	uint64_t hash = 0, k;

	start(&j, "done");
	if (c->verify) {
		for (k = 0; k < c->sockets; k++)
			hash ^= stream_hash_value(&c->lanes[k].hash);
		json_hex(&j, "hash", hash);
	}
	finish(&j, c);
}
