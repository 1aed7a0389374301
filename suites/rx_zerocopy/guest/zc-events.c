// SPDX-License-Identifier: GPL-2.0-only
/* What zc-client says: one line an event, the counters on each. */
#include <stdlib.h>
#include <unistd.h>

#include "guestproc.h"
#include "labjson.h"
#include "zc-client.h"

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

/* Pages that are neither mapped nor pinned any more, such as those a peer has acknowledged, are nobody's. */
static uint64_t distinct(const struct client *c)
{
	uint64_t noted = keep_distinct(), kept = c->mapped_now + c->pinned;

	return noted < kept ? noted : kept;
}

uint64_t kept_bytes(const struct client *c)
{
	return distinct(c) + c->anon + c->partner;
}

static void counters(struct json *j, const struct client *c)
{
	json_num(j, "delivered", (int64_t)delivered(c));
	json_num(j, "mapped", (int64_t)c->mapped);
	json_num(j, "copied", (int64_t)c->copied);
	json_num(j, "mapped_now", (int64_t)c->mapped_now);
	json_num(j, "pinned", (int64_t)c->pinned);
	json_num(j, "anon", (int64_t)c->anon);
	if (is_slow(c) || c->leave)
		json_num(j, "queued", (int64_t)c->queued);
	if (c->dropped)
		json_num(j, "dropped", (int64_t)c->dropped);
	if (c->share_in)
		json_num(j, "partner", (int64_t)c->partner);
	if (c->behaviour->take == take_with_copybuf) {
		json_num(j, "fallback", (int64_t)c->fallback);
		json_num(j, "straggled", (int64_t)c->straggled);
		json_num(j, "hinted", (int64_t)c->hinted);
		json_num(j, "peeked", (int64_t)c->peeked);
		json_num(j, "urgent", (int64_t)c->urgent);
	}
	if (c->race_in)
		race_counters(j);
	if (c->behaviour->falls_back) {
		json_num(j, "refusals", (int64_t)c->refusals);
		json_num(j, "refusal", c->refusal);
	}
	json_num(j, "distinct", (int64_t)distinct(c));
	json_num(j, "held", (int64_t)kept_bytes(c));
}

static void finish(struct json *j, const struct client *c)
{
	counters(j, c);
	send_line(j);
}

void say_ready(const struct client *c)
{
	struct json j;

	start(&j, "ready");
	json_str(&j, "name", c->name);
	json_str(&j, "behaviour", c->behaviour->name);
	json_num(&j, "port", (int64_t)c->port);
	json_num(&j, "pid", getpid());
	json_str(&j, "cgroup", c->cgroup);
	json_num(&j, "oom_score_adj", oom_score_get());
	json_num(&j, "pfn", keep_sees_frames());
	json_str(&j, "vmsplice", probe_vmsplice());
	send_line(&j);
}

void say_accepted(const struct client *c)
{
	struct json j;

	start(&j, "accepted");
	json_num(&j, "sockets", (int64_t)c->sockets);
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
	if (c->failure.call) {
		json_num(&j, "errno", c->failure.err);
		json_str(&j, "call", c->failure.call);
	}
	finish(&j, c);
}

void say_smaps(const struct client *c, uint64_t resident)
{
	struct json j;

	start(&j, "smaps");
	json_num(&j, "resident", (int64_t)resident);
	finish(&j, c);
}

void say_cut(const struct client *c, const char *how, uint64_t resident)
{
	struct json j;

	start(&j, "cut");
	json_str(&j, "how", how);
	json_num(&j, "resident", (int64_t)resident);
	if (c->failure.call) {
		json_num(&j, "errno", c->failure.err);
		json_str(&j, "call", c->failure.call);
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
		json_num(&j, "mismatches", (int64_t)c->mismatch.count);
		json_num(&j, "first_mismatch", c->mismatch.first);
	}
	finish(&j, c);
}
