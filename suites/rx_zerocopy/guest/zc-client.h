/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of zc-client share: the connections, what is kept, and the behaviours. */
#ifndef ZC_CLIENT_H
#define ZC_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pattern.h"

#define PAGE 4096ul
#define BOUNCE_SIZE (64u << 10)

/* One connection. Its window is address space mapped from its socket, filled from the front. */
struct lane {
	int fd;
	bool ended;	     /* end of stream seen */
	uint64_t offset;     /* bytes taken off so far */
	char *window;	     /* NULL: none yet */
	size_t window_size;  /* a multiple of the page size */
	size_t used;	     /* bytes of the window that pages were mapped into */
	size_t settled;	     /* of these, what the behaviour has dealt with */
	size_t filled;	     /* bytes from the front that pages were ever mapped into; more than used once it began anew */
	struct pattern pattern;
	struct stream_hash hash;
};

/* The first call that failed for a reason that is not the peer's orderly end. */
struct failure {
	const char *call; /* NULL: none */
	int err;
};

struct client;

struct behaviour {
	const char *name;
	size_t window;	    /* bytes of address space to fill before it is settled for good; 0: --chunk */
	int lowat;	    /* bytes in a socket that are worth waking up for; 0: LOWAT */
	bool keeps_windows; /* a full window stays mapped and a new one is begun */
	bool falls_back;    /* what TCP_ZEROCOPY_RECEIVE refuses is received by copy */
	bool no_hint;	    /* the kernel is not told that the range is unmapped */
	bool maps_over;	    /* a full window is begun anew with its pages still mapped */
	/* Takes some bytes off a socket: how many, 0 for none there (or an end, or a failure). */
	size_t (*take)(struct client *c, struct lane *l);
	/* Ends a round of takes on one lane; NULL when there is nothing to do. */
	void (*settle)(struct client *c, struct lane *l);
	/* Keeps the pages of a mapped range by other means than the mapping; the bytes kept, fewer after a failure. */
	size_t (*keep)(struct client *c, char *from, size_t len);
};

struct client {
	const char *name, *cgroup;
	const char *race_in;  /* cgroup of the processes that drive `race` */
	const char *share_in; /* cgroup of a process that maps the socket as well; NULL: nobody does */
	const struct behaviour *behaviour;
	uint64_t port, sockets;
	uint64_t bytes; /* 0: until the end of the streams */
	uint64_t chunk;
	uint64_t ring;
	uint64_t leave; /* bytes at the end of each stream that stay in the socket */
	uint64_t most;	/* bytes kept after which no more are taken; 0: all are */
	bool verify, unkillable;

	struct lane *lanes; /* one for each of `sockets` */
	unsigned lane_count; /* accepted so far */

	uint64_t mapped, copied, dropped; /* cumulative */
	uint64_t mapped_now, pinned, anon, queued;
	uint64_t partner; /* held by the process that shares the socket; what it took is in `mapped` and `copied` */
	uint64_t fallback, straggled, hinted; /* parts of `copied`: see `copybuf` in zc-client.c */
	uint64_t peeked, urgent;	      /* bytes looked at ahead of time, and those out of band */
	uint64_t refusals; /* calls that failed and were made good by copying */
	int refusal;	   /* errno of the first of them */
	struct mismatch mismatch;
	struct failure failure;
};

/* zc-events.c: the lines on standard output; a reader that is gone ends the process */
void say_ready(const struct client *c);
void say_accepted(const struct client *c);
void say(const struct client *c, const char *event); /* with nothing but the counters */
void say_holding(const struct client *c, const char *reason);
void say_smaps(const struct client *c, uint64_t resident);
void say_cut(const struct client *c, const char *how, uint64_t resident);
void say_left(const struct client *c, const char *cgroup);
void say_done(const struct client *c);
uint64_t kept_bytes(const struct client *c); /* `held` of a line that were said now */

/* zc-accept.c */

/* Listens in both families, each by a socket of its own; the port, which 0 leaves to the kernel. */
uint64_t accept_listen(uint64_t port, uint64_t sockets, uint64_t rcvbuf);
/* Has a process in the cgroup `dir` accept so many connections, and hand them over. */
void accept_elsewhere(uint64_t sockets, const char *dir);
struct pollfd;
unsigned accept_poll(struct pollfd *fds); /* where connections come from: two at most */
int accept_next(void); /* one of them, as accept(2) returns */
void accept_done(void); /* no more are wanted */

/* zc-share.c: a process in the cgroup `dir` that maps the first socket as well */
#define SHARE_IDLE "--idle" /* argv[1] of the program that it becomes by execve() */
void share_with(struct client *c, const char *dir); /* before anything is mapped */
void share_turn(struct client *c, struct lane *l); /* it takes some of the stream; without one, nothing */
bool share_exec(struct client *c); /* it calls execve(), and lives on; false: there is none any more */
void share_end(struct client *c);
__attribute__((noreturn)) void share_idle(void);

/* zc-race.c */
struct json;
size_t take_racing(struct client *c, struct lane *l);
void settle_racing(struct client *c, struct lane *l);
void race_begin(struct client *c, const char *dir); /* dir: a cgroup for the processes that drive it */
void race_end(void); /* without one that began, nothing */
void race_counters(struct json *j);

/* zc-copybuf.c */
size_t take_with_copybuf(struct client *c, struct lane *l);

/* zc-cut.c: a part of what the first socket's window holds is unmapped, moved, ...; false: there is no such way */
bool cut(struct client *c, const char *how);

/* zc-behaviours.c */
bool is_slow(const struct client *c); /* the behaviour that never reads */
const struct behaviour *behaviour_find(const char *name);
uint64_t delivered(const struct client *c);
uint64_t remaining(const struct client *c); /* UINT64_MAX without --bytes */
/* Has the memory that --unkillable needs of its own at the limit, before there is anything to receive. */
void behaviour_prepare(struct client *c);
bool lane_waits(const struct client *c, const struct lane *l); /* for the whole of a stream that leaves some behind */
void fail(struct client *c, const char *call, int err);
/* What every way to take bytes is made of. */
size_t window_room(struct client *c, struct lane *l); /* room for at least one page; 0 after a failure */
size_t take_bounced(struct client *c, struct lane *l, uint64_t len); /* up to len bytes, by the reused buffer */
void took(struct client *c, struct lane *l, const char *data, size_t len); /* all bytes pass here once, in order */
void took_mapped(struct client *c, struct lane *l, size_t len); /* the next bytes of the window */

/* zc-keep.c: everything that is kept until `release` */

/* Address space of a socket (fd >= 0, read only) or fresh anonymous memory (fd -1); NULL with errno. */
char *keep_area(int fd, size_t size);
/*
 * ROOTED_AREA bytes of a socket, whose page table is there already: a page of our own shares it. Page tables are
 * charged too, and at the limit their charge would be refused before that of the page to be mapped.
 */
#define TABLE (2ul << 20)
#define ROOTED_AREA (TABLE - PAGE)
char *keep_rooted_area(int fd);
/* Puts the pages of a mapped range into pipes; the bytes that went in, fewer than len after a failure. */
/* "keeps", "copies" or "unknown": what vmsplice does with a page on this kernel. */
const char *probe_vmsplice(void);
size_t keep_in_pipes(struct client *c, char *from, size_t len);
/* The same, and each full pipe's pages are handed on to another pipe by tee(2) and to a third by splice(2). */
size_t keep_in_tees(struct client *c, char *from, size_t len);
/* Resident bytes of the kept areas by /proc/self/smaps. */
uint64_t keep_resident(void);
/* Notes the page frames behind a mapped range; the bytes of it that are mapped. */
size_t keep_frames(const char *from, size_t len);
size_t keep_all_frames(void); /* the same of all areas */
void keep_forget_frames(void);
bool keep_moved_area(char *at, size_t size); /* takes note of one that is there; false with errno */
bool keep_sees_frames(void); /* false: no privilege to see frame numbers, pages are counted instead */
uint64_t keep_distinct(void); /* bytes */
void keep_prepare(bool ahead); /* ahead: notes of page frames shall need no more memory later */
/* Unmaps, closes and forgets all of it. */
void keep_nothing(void);

/* zc-pin.c: the other ways to keep the pages of a mapped range; each as `keep` of struct behaviour */
size_t pin_by_fork(struct client *c, char *from, size_t len);
size_t pin_by_send(struct client *c, char *from, size_t len);
size_t pin_by_uring(struct client *c, char *from, size_t len);
void pin_nothing(void);
/* Forks a child that keeps all that is mapped, and outlives us; false with errno. */
bool leave_heir(void);

#endif
