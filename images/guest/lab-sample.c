// SPDX-License-Identifier: GPL-2.0-only
/* The system half of a sample: /proc files that are opened once and read from the start each time. */
#define _GNU_SOURCE
#include "lab-telemetry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MEMINFO, VMSTAT, ZONEINFO, SOCKSTAT, NETDEV, FILES };

static const char *const paths[FILES] = {
	"/proc/meminfo", "/proc/vmstat", "/proc/zoneinfo", "/proc/net/sockstat", "/proc/net/dev",
};
static int fds[FILES];
#define ACCOUNTED_ONLY "/proc/sys/net/ipv4/tcp_rx_zerocopy_accounted_only"
#define TAINTED "/proc/sys/kernel/tainted"

static const char *const vmstat_keys[] = {
	"nr_free_pages",  "nr_mapped",	     "nr_file_pages",	  "nr_anon_pages",	"nr_slab_unreclaimable",
	"nr_kernel_stack", "nr_page_table_pages", "nr_shmem",	  "oom_kill",		"pgfault",
	"allocstall_normal", "allocstall_movable", "compact_stall", "nr_*_used",		"nr_*_cached",	NULL,
};

/* By hand, and not with strcspn() and its kind, which make a table of their characters for each call. */
bool next_pair(const char **at, struct pair *p)
{
	const char *s = *at, *digits;

	while (*s) {
		for (p->key = s; *s && *s != ':' && *s != ' ' && *s != '\n'; s++)
			;
		p->len = (size_t)(s - p->key);
		while (*s == ':' || *s == ' ')
			s++;
		digits = s;
		for (p->value = 0; *s >= '0' && *s <= '9'; s++)
			p->value = p->value * 10 + (uint64_t)(*s - '0');
		p->kib = !strncmp(s, " kB", 3);
		*at = s;
		while (*s && *s != '\n')
			s++;
		s += *s == '\n';
		if (*at > digits) {
			*at = s;
			return true;
		} /* else not a pair: a headline */
	}
	*at = s;
	return false;
}

bool key_is(const struct pair *p, const char *key)
{
	return !strncmp(p->key, key, p->len) && !key[p->len];
}

void json_pair(struct json *j, const struct pair *p)
{
	char key[64];
	size_t len = p->len < sizeof(key) - 1 ? p->len : sizeof(key) - 1;

	memcpy(key, p->key, len);
	key[len] = 0;
	json_num(j, key, (int64_t)(p->kib ? p->value * 1024 : p->value));
}

/* A `*` in it stands for whatever a kernel under test calls it. */
static bool key_fits(const struct pair *p, const char *key)
{
	const char *star = strchr(key, '*');
	size_t before, behind;

	if (!star)
		return key_is(p, key);
	before = (size_t)(star - key);
	behind = strlen(star + 1);
	return p->len > before + behind && !strncmp(p->key, key, before) &&
	       !strncmp(p->key + p->len - behind, star + 1, behind);
}

static bool listed(const struct pair *p, const char *const *keys)
{
	for (; *keys; keys++)
		if (key_fits(p, *keys))
			return true;
	return false;
}

void json_pairs(struct json *j, const char *text, const char *const *keys)
{
	struct pair p;

	while (next_pair(&text, &p))
		if (!keys || listed(&p, keys))
			json_pair(j, &p);
}

void sample_prepare(void)
{
	int i;

	for (i = 0; i < FILES; i++) {
		fds[i] = open(paths[i], O_RDONLY | O_CLOEXEC);
		if (fds[i] < 0)
			die(1, "%s: %s", paths[i], strerror(errno));
	}
}

/* seq_file hands out at most a buffer at a time: read on until the end. */
static const char *text_of(int file)
{
	static char text[64 << 10];
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(text) - 1 && (n = pread(fds[file], text + len, sizeof(text) - 1 - len, (off_t)len)) > 0)
		len += (size_t)n;
	text[len] = 0;
	return text;
}

/* Free pages in the lists of the CPUs: not buddy, but nobody's either. */
static int64_t pcp_pages(void)
{
	const char *text = text_of(ZONEINFO);
	int64_t sum = 0;

	while ((text = strstr(text, " count:"))) {
		text += strlen(" count:");
		sum += strtoll(text, NULL, 10);
	}
	return sum;
}

static int64_t tcp_mem_pages(void)
{
	const char *tcp = strstr(text_of(SOCKSTAT), "TCP: "), *mem = tcp ? strstr(tcp, " mem ") : NULL;

	return mem ? strtoll(mem + strlen(" mem "), NULL, 10) : -1;
}

struct counters {
	unsigned interfaces;
	int64_t bytes, packets, dropped;
};

/* "  lab0: bytes packets errs drop ..." */
static void add_interface(struct counters *sum, const char *numbers)
{
	int64_t column[4];
	char *at = (char *)numbers;
	int i;

	for (i = 0; i < 4; i++)
		column[i] = strtoll(at, &at, 10);
	sum->interfaces++;
	sum->bytes += column[0];
	sum->packets += column[1];
	sum->dropped += column[3];
}

static struct counters count_interfaces(void)
{
	struct counters data = {0}, loopback = {0};
	const char *at = text_of(NETDEV), *colon;

	while ((colon = strchr(at, ':'))) {
		const char *name = colon;

		while (name > at && name[-1] != ' ' && name[-1] != '\n')
			name--;
		if (!strncmp(name, "lab", 3))
			add_interface(&data, colon + 1);
		else if (!strncmp(name, "lo:", 3))
			add_interface(&loopback, colon + 1);
		at = strchrnul(colon, '\n');
	}
	return data.interfaces ? data : loopback;
}

/* A setting that only some kernels have; -1 where it is not there. */
static int64_t setting(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 ? strtoll(text, NULL, 10) : -1;
}

void sample_system(struct json *j)
{
	struct counters net;
	int64_t accounted_only;

	json_open(j, "meminfo");
	json_pairs(j, text_of(MEMINFO), NULL);
	json_close(j);
	json_open(j, "vmstat");
	json_pairs(j, text_of(VMSTAT), vmstat_keys);
	json_close(j);
	json_num(j, "pcp_pages", pcp_pages());
	json_num(j, "tainted", setting(TAINTED));
	net = count_interfaces();
	json_open(j, "net");
	json_num(j, "tcp_mem_pages", tcp_mem_pages());
	json_num(j, "rx_bytes", net.bytes);
	json_num(j, "rx_packets", net.packets);
	json_num(j, "rx_dropped", net.dropped);
	accounted_only = setting(ACCOUNTED_ONLY);
	if (accounted_only >= 0)
		json_num(j, "accounted_only", accounted_only);
	json_close(j);
}
