// SPDX-License-Identifier: GPL-2.0-only
/*
 * The page pools of the network, by generic netlink: the dumps page-pool-get and page-pool-stats-get of the family
 * `netdev` (Documentation/netlink/specs/netdev.yaml, net/core/page_pool_user.c). Pools are told since v6.8, and their
 * statistics with CONFIG_PAGE_POOL_STATS; a kernel without that tells nothing of it. The numbers are written down here
 * because linux/netdev.h is younger than the headers of Debian 12.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lab-telemetry.h"

#define FAMILY "netdev"
#define MAX_POOLS 64u

enum { PAGE_POOL_GET = 5, PAGE_POOL_STATS_GET = 9 };
enum { POOL_ID = 1, POOL_IFINDEX = 2, STATS_INFO = 1 }; /* the id is an attribute of the pool, in STATS_INFO there */

static const struct number {
	const char *name;
	uint8_t command;
	uint16_t attr;
} numbers[] = {
	{"ifindex", PAGE_POOL_GET, POOL_IFINDEX},
	{"napi_id", PAGE_POOL_GET, 3},
	{"inflight", PAGE_POOL_GET, 4},
	{"inflight_mem", PAGE_POOL_GET, 5},
	{"alloc_fast", PAGE_POOL_STATS_GET, 8},
	{"alloc_slow", PAGE_POOL_STATS_GET, 9},
	{"alloc_slow_high_order", PAGE_POOL_STATS_GET, 10},
	{"alloc_empty", PAGE_POOL_STATS_GET, 11},
	{"alloc_refill", PAGE_POOL_STATS_GET, 12},
	{"alloc_waive", PAGE_POOL_STATS_GET, 13},
	{"recycle_cached", PAGE_POOL_STATS_GET, 14},
	{"recycle_cache_full", PAGE_POOL_STATS_GET, 15},
	{"recycle_ring", PAGE_POOL_STATS_GET, 16},
	{"recycle_ring_full", PAGE_POOL_STATS_GET, 17},
	{"recycle_released_refcnt", PAGE_POOL_STATS_GET, 18},
};
#define NUMBERS (sizeof(numbers) / sizeof(numbers[0]))
#define IFINDEX 0

struct pools {
	uint8_t command; /* whose answers are read */
	uint16_t family; /* 0: the kernel has none of that name */
	unsigned count, left_out;
	struct pool {
		uint64_t id, value[NUMBERS];
		uint32_t has; /* a bit for each number that the kernel told */
	} at[MAX_POOLS];
};

static bool ask_kernel(int fd, uint16_t type, uint8_t command, uint16_t flags, const char *name)
{
	struct {
		struct nlmsghdr h;
		struct genlmsghdr g;
		struct nlattr a;
		char name[GENL_NAMSIZ];
	} out = {
		.h = {.nlmsg_type = type, .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags)},
		.g = {.cmd = command, .version = 1},
		.a = {.nla_type = CTRL_ATTR_FAMILY_NAME, .nla_len = sizeof(out.a) + sizeof(FAMILY)},
	};
	size_t len = name ? sizeof(out) : sizeof(out.h) + sizeof(out.g);

	if (name)
		memcpy(out.name, name, strlen(name));
	out.h.nlmsg_len = (uint32_t)len;
	return send(fd, &out, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* NULL at the end, and where an attribute says that it is longer than what is left. */
static const struct nlattr *next_attr(const char **at, const char *end)
{
	const struct nlattr *a = (const struct nlattr *)*at;

	if (end - *at < NLA_HDRLEN || a->nla_len < NLA_HDRLEN || a->nla_len > end - *at)
		return NULL;
	*at += NLA_ALIGN(a->nla_len);
	return a;
}

static const char *in(const struct nlattr *a)
{
	return (const char *)a + NLA_HDRLEN;
}

static unsigned type_of(const struct nlattr *a)
{
	return a->nla_type & NLA_TYPE_MASK;
}

/* The kernel sends 16, 32 or 64 bits, whichever will do; json_num() takes 63. */
static uint64_t number_in(const struct nlattr *a)
{
	uint16_t small = 0;
	uint32_t middle = 0;
	uint64_t large = 0;

	switch (a->nla_len - NLA_HDRLEN) {
	case sizeof(small):
		memcpy(&small, in(a), sizeof(small));
		return small;
	case sizeof(middle):
		memcpy(&middle, in(a), sizeof(middle));
		return middle;
	case sizeof(large):
		memcpy(&large, in(a), sizeof(large));
		return large < INT64_MAX ? large : INT64_MAX;
	}
	return 0;
}

static uint64_t attr_number(const char *at, const char *end, unsigned type)
{
	const struct nlattr *a;

	while ((a = next_attr(&at, end)))
		if (type_of(a) == type)
			return number_in(a);
	return 0;
}

static uint64_t id_in(uint8_t command, const char *at, const char *end)
{
	const struct nlattr *a;

	if (command == PAGE_POOL_GET)
		return attr_number(at, end, POOL_ID);
	while ((a = next_attr(&at, end)))
		if (type_of(a) == STATS_INFO)
			return attr_number(in(a), (const char *)a + a->nla_len, POOL_ID);
	return 0;
}

/* Statistics of a pool that came up between the two dumps are left alone. */
static struct pool *pool_of(struct pools *p, uint64_t id)
{
	unsigned i;

	for (i = 0; i < p->count; i++)
		if (p->at[i].id == id)
			return &p->at[i];
	if (p->command != PAGE_POOL_GET)
		return NULL;
	if (p->count == MAX_POOLS) {
		p->left_out++;
		return NULL;
	}
	p->at[p->count].id = id;
	return &p->at[p->count++];
}

static void take_pool(struct pools *p, const char *at, const char *end)
{
	struct pool *pool = pool_of(p, id_in(p->command, at, end));
	const struct nlattr *a;
	unsigned i;

	while (pool && (a = next_attr(&at, end)))
		for (i = 0; i < NUMBERS; i++)
			if (numbers[i].command == p->command && numbers[i].attr == type_of(a)) {
				pool->value[i] = number_in(a);
				pool->has |= 1u << i;
			}
}

static void take_message(struct pools *p, const struct nlmsghdr *h)
{
	const char *at = (const char *)h + NLMSG_HDRLEN + GENL_HDRLEN, *end = (const char *)h + h->nlmsg_len;

	if (end < at)
		return;
	if (p->family)
		take_pool(p, at, end);
	else
		p->family = (uint16_t)attr_number(at, end, CTRL_ATTR_FAMILY_ID);
}

/* The end of a dump, or a refusal: both begin with an error, which is 0 or -errno. */
static bool is_good_end(const struct nlmsghdr *h)
{
	int status = -1;

	if (h->nlmsg_len >= NLMSG_HDRLEN + sizeof(status))
		memcpy(&status, (const char *)h + NLMSG_HDRLEN, sizeof(status));
	return h->nlmsg_type == NLMSG_DONE && status == 0;
}

/*
 * Whether all of an answer came: one message, or a dump to its end; the kernel does not mark the messages of this dump
 * as parts of one (genlmsg_iput()). It is made by the calls of the one who asks, so there is nothing to wait for.
 */
static bool take_answer(int fd, struct pools *p, bool is_dump)
{
	static char buf[32 << 10] __attribute__((aligned(NLMSG_ALIGNTO)));
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		const struct nlmsghdr *h = (const struct nlmsghdr *)buf;
		size_t left = (size_t)n;

		for (; left >= NLMSG_HDRLEN && h->nlmsg_len >= NLMSG_HDRLEN && h->nlmsg_len <= left;
		     h = (const struct nlmsghdr *)((const char *)h + NLMSG_ALIGN(h->nlmsg_len))) {
			if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
				return is_good_end(h);
			take_message(p, h);
			if (!is_dump)
				return true;
			left -= NLMSG_ALIGN(h->nlmsg_len) < left ? NLMSG_ALIGN(h->nlmsg_len) : left;
		}
	}
	return false;
}

static bool dump(int fd, struct pools *p, uint8_t command)
{
	p->command = command;
	return ask_kernel(fd, p->family, command, NLM_F_DUMP, NULL) && take_answer(fd, p, true);
}

static void write_pool(struct json *j, const struct pool *pool)
{
	char text[24], netdev[IF_NAMESIZE];
	unsigned i;

	snprintf(text, sizeof(text), "%llu", (unsigned long long)pool->id);
	json_open(j, text);
	json_str(j, "netdev", if_indextoname((unsigned)pool->value[IFINDEX], netdev));
	json_open(j, "counts");
	for (i = 0; i < NUMBERS; i++)
		if (pool->has & 1u << i)
			json_num(j, numbers[i].name, (int64_t)pool->value[i]);
	json_close(j);
	json_close(j);
}

static void pools_by(int fd, struct json *j)
{
	static struct pools p;
	unsigned i;

	if (!ask_kernel(fd, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0, FAMILY) || !take_answer(fd, &p, false) || !p.family ||
	    !dump(fd, &p, PAGE_POOL_GET))
		return;
	dump(fd, &p, PAGE_POOL_STATS_GET); /* each pool that it comes to is told whole, and the others without */
	json_open(j, "pools");
	for (i = 0; i < p.count; i++)
		write_pool(j, &p.at[i]);
	json_close(j);
	if (p.left_out)
		json_num(j, "pools_left_out", p.left_out);
}

void sample_pools(struct json *j)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);

	if (fd < 0)
		return;
	pools_by(fd, j);
	close(fd);
}
