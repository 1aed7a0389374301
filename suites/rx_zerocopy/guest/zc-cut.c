// SPDX-License-Identifier: GPL-2.0-only
/* What `cut` does to a part of what a client has mapped, an eighth each: see the command in zc-client.c. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "zc-client.h"

#define FAR (1ul << 32)

static bool cut_unmap(char *at, size_t len)
{
	return munmap(at, len) == 0;
}

static bool cut_drop(char *at, size_t len)
{
	return madvise(at, len, MADV_DONTNEED) == 0;
}

static bool cut_cover(char *at, size_t len)
{
	return mmap(at, len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == at;
}

/*
 * To where nothing is aligned as before: whole page tables would be moved by their entry alone (move_pgt_entry()). And
 * far from what was unmapped, which the kernel would take up again: what is in two areas is counted twice.
 */
static bool cut_move(char *at, size_t len)
{
	char *room = mmap(at - FAR, len + PAGE, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0), *to = room;

	if (room == MAP_FAILED)
		return false;
	if (((uintptr_t)room - (uintptr_t)at) % TABLE == 0)
		to += PAGE;
	return mremap(at, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to && keep_moved_area(to, len);
}

static bool cut_protect(char *at, size_t len)
{
	return mprotect(at, len, PROT_NONE) == 0;
}

bool cut(struct client *c, const char *how)
{
	static const struct {
		const char *how;
		bool (*what)(char *at, size_t len);
	} all[] = {
		{"unmap", cut_unmap}, {"drop", cut_drop}, {"cover", cut_cover}, {"move", cut_move}, {"protect", cut_protect},
	};
	const struct lane *l = &c->lanes[0];
	size_t part = l->used / 8 & ~(PAGE - 1), i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		if (strcmp(all[i].how, how))
			continue;
		errno = EINVAL;
		if (!l->window || !part || !all[i].what(l->window + i * part, part))
			fail(c, how, errno);
		keep_forget_frames();
		c->mapped_now = keep_all_frames();
		return true;
	}
	return false;
}
