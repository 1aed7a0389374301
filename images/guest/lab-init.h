/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of lab-init tell each other. */
#ifndef LAB_INIT_H
#define LAB_INIT_H

#include <stddef.h>
#include <sys/types.h>

#define LINK_DEV "lab0"
#define CTL_DEV "ctl0"

/* lab-init.c */
void say(const char *fmt, ...);
void tell(const char *fmt, ...);
double uptime(void);
size_t slurp(const char *path, char *buf, size_t size);
int put(const char *path, const char *text);
const char *option(const char *key);

/* lab-init-net.c */
int start_network(void);
int watch_links(void);
void read_links(int netlink);
int send_echo(const char *v4);
void read_echo(int echo);
int readdress(const char *mac, const char *v4, const char *v6);
int bring_up(int s, const char *dev);

/* lab-init-wake.c */
int wake(const char *order);
int admit(const char *order);

/* lab-init-settle.c */
int settle(char *setting);
void tell_settled(void);

#endif
