// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every page of the machine, sorted by who has it: /proc/kpageflags,
 * /proc/kpagecount (how often mapped) and /proc/kpagecgroup, one 64-bit entry
 * a page each (Documentation/admin-guide/mm/pagemap.rst).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kpageflags.h"
#include "lab-telemetry.h"

#define BLOCK (64u << 10) /* entries a read */
#define MAX_RANGES 64

/*
 * Any of these says who has the page. Pages of the network carry none of them:
 * they are order 0, on no LRU list, and never marked up to date, which every
 * page-cache and anonymous page is. The private bits are left out on purpose,
 * because a kernel under test may mark its network pages with one of them.
 */
#define OWNED                                                                                                      \
	(KPF(LRU) | KPF(UPTODATE) | KPF(SWAPBACKED) | KPF(SLAB) | KPF(BUDDY) | KPF(ANON) | KPF(SWAPCACHE) |        \
	 KPF(COMPOUND_HEAD) | KPF(COMPOUND_TAIL) | KPF(HUGE) | KPF(UNEVICTABLE) | KPF(HWPOISON) | KPF(NOPAGE) |    \
	 KPF(KSM) | KPF(THP) | KPF(OFFLINE) | KPF(ZERO_PAGE) | KPF(PGTABLE) | KPF(RESERVED))

struct range {
	uint64_t first, end; /* page frame numbers */
};

struct tally {
	uint64_t plain, free, mapped_uncharged, offline;
	uint64_t charged[MAX_CGROUPS];
};

struct block {
	uint64_t flags[BLOCK], mapcount[BLOCK], cgroup[BLOCK];
};

static int open_page_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die(1, "%s: %s", path, strerror(errno));
	return fd;
}

/* The RAM of the machine; everything up to the end of the files when nobody tells. */
static unsigned find_ram(struct range *ranges)
{
	FILE *f = fopen("/proc/iomem", "re");
	unsigned long long first, last;
	unsigned count = 0;
	char line[256];

	while (f && count < MAX_RANGES && fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx-%llx", &first, &last) == 2 && line[0] != ' ' && last &&
		    strstr(line, ": System RAM"))
			ranges[count++] = (struct range){first / 4096, last / 4096 + 1};
	if (f)
		fclose(f);
	if (!count)
		ranges[count++] = (struct range){0, UINT64_MAX / 8};
	return count;
}

static void count_page(struct tally *t, const struct block *b, size_t i, const struct children *children)
{
	uint64_t flags = b->flags[i];
	unsigned c;

	if (flags & (KPF(BUDDY) | KPF(NOPAGE))) {
		t->free += !!(flags & KPF(BUDDY));
		return;
	}
	t->plain += !(flags & OWNED);
	if (!b->cgroup[i]) {
		t->mapped_uncharged += b->mapcount[i] > 0;
		return;
	}
	/* page_cgroup_ino() names the closest ancestor that is online, and no process is in the root itself. */
	t->offline += b->cgroup[i] == children->root && !(flags & OWNED);
	for (c = 0; c < children->count; c++)
		t->charged[c] += children->at[c].ino == b->cgroup[i];
}

/* One block; false at the end of the files. */
static bool count_block(struct tally *t, struct block *b, const int *fds, uint64_t first, size_t entries,
			const struct children *children)
{
	uint64_t *columns[] = {b->flags, b->mapcount, b->cgroup};
	size_t got = entries, i;

	for (i = 0; i < 3; i++) {
		ssize_t n = pread(fds[i], columns[i], entries * 8, (off_t)(first * 8));

		if (n < 0)
			die(1, "reading page frame %llu: %s", (unsigned long long)first, strerror(errno));
		if ((size_t)n / 8 < got)
			got = (size_t)n / 8;
	}
	for (i = 0; i < got; i++)
		count_page(t, b, i, children);
	return got == entries;
}

static void count_ram(struct tally *t, struct block *b, const struct children *children)
{
	const int fds[] = {open_page_file("/proc/kpageflags"), open_page_file("/proc/kpagecount"),
			   open_page_file("/proc/kpagecgroup")};
	struct range ranges[MAX_RANGES];
	unsigned count = find_ram(ranges), r;

	for (r = 0; r < count; r++) {
		uint64_t at = ranges[r].first, n;

		for (; at < ranges[r].end; at += n) {
			n = ranges[r].end - at < BLOCK ? ranges[r].end - at : BLOCK;
			if (!count_block(t, b, fds, at, n, children))
				break;
		}
	}
}

void sample_pages(struct json *j, const struct children *children)
{
	struct tally t = {0};
	struct block *b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char ino[24];
	unsigned c;

	if (b == MAP_FAILED)
		die(1, "no memory to read the page flags");
	count_ram(&t, b, children);
	json_open(j, "pages");
	json_num(j, "plain", (int64_t)t.plain);
	json_num(j, "free", (int64_t)t.free);
	json_num(j, "mapped_uncharged", (int64_t)t.mapped_uncharged);
	if (children->root)
		json_num(j, "offline", (int64_t)t.offline);
	json_open(j, "charged");
	for (c = 0; c < children->count; c++) {
		snprintf(ino, sizeof(ino), "%llu", (unsigned long long)children->at[c].ino);
		json_num(j, ino, (int64_t)t.charged[c]);
	}
	json_close(j);
	json_close(j);
}
