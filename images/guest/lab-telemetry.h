/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of lab-telemetry share. Nothing here allocates memory after the start. */
#ifndef LAB_TELEMETRY_H
#define LAB_TELEMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "labjson.h"

#define MAX_CGROUPS 32

/* One "key value" or "key: value [kB]" line of a kernel text file. */
struct pair {
	const char *key;
	size_t len;
	uint64_t value;
	bool kib;
};

struct children {
	uint64_t root; /* inode of their parent; 0: not there */
	unsigned count;
	struct {
		char name[64];
		uint64_t ino;
	} at[MAX_CGROUPS];
};

/* lab-sample.c */
bool next_pair(const char **at, struct pair *p);
bool key_is(const struct pair *p, const char *key);
void json_pair(struct json *j, const struct pair *p);
/* Writes the pairs of a text whose key is listed (all, when keys is NULL). */
void json_pairs(struct json *j, const char *text, const char *const *keys);
void sample_prepare(void);
void sample_system(struct json *j);

/* lab-cgroups.c */
void sample_cgroups(struct json *j, const char *root, struct children *found);
void sample_parent(struct json *j, const char *root); /* after its children: what they were charged is in it */

/* lab-pools.c: no field where the kernel tells nothing of its page pools */
void sample_pools(struct json *j);

/* lab-pages.c */
void sample_pages(struct json *j, const struct children *children);

/* lab-kmsg.c: writes a line with the token into the kernel's log; no field where that cannot be done or read back. */
void sample_kmsg(struct json *j, const char *token);

/* lab-ask.c; what cannot be done there ends the program, but for ask_taken. */
int ask_listen(const char *path);
int ask_taken(int s); /* who asks, to be answered; -1: nobody any more */
void ask_answered(int asker);
void ask(const char *path); /* returns when the sample is out, or was dropped */

#endif
