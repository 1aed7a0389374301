/* SPDX-License-Identifier: GPL-2.0-only */
/* What a guest program does to itself before its work: cgroup, OOM score. */
#ifndef GUESTPROC_H
#define GUESTPROC_H

#include <stddef.h>
#include <sys/types.h>

/* Moves this process into a cgroup; 0 or -1 with errno. */
int cgroup_join(const char *dir);

/* oom_score_adj of the process that asked first, for writing. Kept open: a cgroup at its limit has no memory for that. */
int oom_score_file(void);

/* Writes there; 0 or -1 with errno. */
int oom_score_set(int score);
int oom_score_get(void);

/* Reads a whole small file relative to dirfd, NUL-terminated; length or -1 with errno. */
ssize_t slurp_at(int dirfd, const char *path, char *buf, size_t cap);

#endif
