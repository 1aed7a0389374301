// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cgroup half of a sample. Cgroups come and go, and some are removed on
 * purpose while their memory is out: files are opened anew each time, so that
 * no open file of ours can have a part in keeping a removed cgroup.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guestproc.h"
#include "lab-telemetry.h"

static const char *const stat_keys[] = {
	"anon",	 "file",  "kernel",	 "kernel_stack", "pagetables", "percpu",
	"sock",	 "shmem", "file_mapped", "slab",	 "vmalloc",    NULL,
};
static char text[64 << 10];

#define MAX_LEVELS 4 /* of cgroups below the root */

/* A file with one number; "max" or no such file gives -1. */
static int64_t number_at(int dir, const char *file)
{
	if (slurp_at(dir, file, text, sizeof(text)) <= 0 || text[0] < '0' || text[0] > '9')
		return -1;
	return strtoll(text, NULL, 10);
}

static int64_t lines_at(int dir, const char *file)
{
	const char *at = text;
	int64_t lines = 0;

	if (slurp_at(dir, file, text, sizeof(text)) < 0)
		return -1;
	while ((at = strchr(at, '\n')))
		at++, lines++;
	return lines;
}

static void pairs_at(struct json *j, const char *key, int dir, const char *file, const char *const *keys)
{
	json_open(j, key);
	if (slurp_at(dir, file, text, sizeof(text)) > 0)
		json_pairs(j, text, keys);
	json_close(j);
}

/* Whether the cgroup was still there when the last of its files was read; a half-read one would be a false witness. */
static int sample_child(struct json *j, int dir, uint64_t ino)
{
	json_num(j, "ino", (int64_t)ino);
	json_num(j, "current", number_at(dir, "memory.current"));
	json_num(j, "peak", number_at(dir, "memory.peak"));
	json_num(j, "max", number_at(dir, "memory.max"));
	json_num(j, "procs", lines_at(dir, "cgroup.procs"));
	pairs_at(j, "events", dir, "memory.events", NULL);
	pairs_at(j, "stat", dir, "memory.stat", stat_keys);
	return number_at(dir, "memory.current") >= 0;
}

static void add_children(struct json *j, int root, const char *above, struct children *found);

static void add_child(struct json *j, int root, const char *above, const char *name, struct children *found)
{
	int dir = openat(root, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct json before = *j;
	struct stat st;

	if (dir < 0) /* removed a moment ago */
		return;
	if (fstat(dir, &st) == 0 && strlen(name) < sizeof(found->at[0].name)) {
		json_open(j, name);
		if (above)
			json_str(j, "above", above);
		if (sample_child(j, dir, st.st_ino)) {
			json_close(j);
			strcpy(found->at[found->count].name, name);
			found->at[found->count++].ino = st.st_ino;
			if (st.st_nlink != 2) /* kernfs counts subdirectories, and most have none to look for */
				add_children(j, dir, name, found);
		} else {
			*j = before;
		}
	}
	close(dir);
}

/* readdir() would allocate. The cgroup `above` these is NULL for the first level. */
static void add_children(struct json *j, int root, const char *above, struct children *found)
{
	static char levels[MAX_LEVELS][4 << 10] __attribute__((aligned(8)));
	static unsigned level;
	char *entries = levels[level];
	ssize_t n, at;

	if (level == MAX_LEVELS)
		return;
	level++;

	while ((n = getdents64(root, entries, sizeof(levels[0]))) > 0) {
		for (at = 0; at < n; at += ((struct dirent64 *)(entries + at))->d_reclen) {
			const struct dirent64 *d = (struct dirent64 *)(entries + at);

			if (d->d_type == DT_DIR && d->d_name[0] != '.' && found->count < MAX_CGROUPS)
				add_child(j, root, above, d->d_name, found);
		}
	}
	level--;
}

static int64_t dying(int root)
{
	const char *at = text;
	struct pair p;

	if (slurp_at(root, "cgroup.stat", text, sizeof(text)) <= 0)
		return -1;
	while (next_pair(&at, &p))
		if (key_is(&p, "nr_dying_descendants"))
			return (int64_t)p.value;
	return -1;
}

void sample_cgroups(struct json *j, const char *root, struct children *found)
{
	int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	found->count = 0;
	found->root = dir >= 0 && fstat(dir, &st) == 0 ? st.st_ino : 0;
	json_num(j, "dying", dir < 0 ? -1 : dying(dir));
	json_open(j, "cg");
	if (dir >= 0) {
		add_children(j, dir, NULL, found);
		close(dir);
	}
	json_close(j);
}

void sample_parent(struct json *j, const char *root)
{
	int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct json before = *j;
	struct stat st;

	if (dir < 0)
		return;
	json_open(j, "parent");
	if (fstat(dir, &st) == 0 && sample_child(j, dir, st.st_ino))
		json_close(j);
	else
		*j = before;
	close(dir);
}
