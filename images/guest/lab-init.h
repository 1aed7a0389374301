/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the two halves of lab-init tell each other. */
#ifndef LAB_INIT_H
#define LAB_INIT_H

#include <stddef.h>

/* lab-init.c */
void say(const char *fmt, ...);
void tell(const char *fmt, ...);
double uptime(void);
size_t slurp(const char *path, char *buf, size_t size);
const char *option(const char *key);

/* lab-init-net.c */
int start_network(void);
int watch_links(void);
void read_links(int netlink);

#endif
