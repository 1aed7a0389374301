// SPDX-License-Identifier: GPL-2.0-or-later
/* The network half of lab-init: finds the two NICs by MAC, brings the control NIC up, reports carrier of the link NIC. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lab-init.h"

#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP 0x10000 /* include/uapi/linux/if.h, which cannot be had together with net/if.h */
#endif
#define LINK_DEV "lab0"
#define CTL_DEV "ctl0"

static int link_index;

/* Renames the interface with this MAC and gives its index, or 0. */
static int adopt(int s, const char *mac, const char *dev)
{
	char path[300], have[32];
	struct ifreq r = { 0 };
	struct dirent *e;
	DIR *d = opendir("/sys/class/net");

	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "/sys/class/net/%s/address", e->d_name);
		slurp(path, have, sizeof(have));
		if (e->d_name[0] == '.' || !mac[0] || strncasecmp(have, mac, 17))
			continue;
		snprintf(r.ifr_name, IFNAMSIZ, "%.15s", e->d_name);
		snprintf(r.ifr_newname, IFNAMSIZ, "%s", dev);
		if (ioctl(s, SIOCSIFNAME, &r))
			say("cannot rename %s to %s: %s", e->d_name, dev, strerror(errno));
		closedir(d);
		return (int)if_nametoindex(dev);
	}
	if (d)
		closedir(d);
	return 0;
}

static void set_address(int s, const char *dev, const char *ip, const char *mask)
{
	struct ifreq r = { 0 };
	struct sockaddr_in *a = (struct sockaddr_in *)&r.ifr_addr;

	snprintf(r.ifr_name, IFNAMSIZ, "%s", dev);
	a->sin_family = AF_INET;
	inet_pton(AF_INET, ip, &a->sin_addr);
	if (ioctl(s, SIOCSIFADDR, &r))
		say("cannot set address %s on %s: %s", ip, dev, strerror(errno));
	inet_pton(AF_INET, mask, &a->sin_addr);
	ioctl(s, SIOCSIFNETMASK, &r);
}

static void up(int s, const char *dev)
{
	struct ifreq r = { 0 };

	snprintf(r.ifr_name, IFNAMSIZ, "%s", dev);
	r.ifr_flags = IFF_UP;
	if (ioctl(s, SIOCSIFFLAGS, &r))
		say("cannot bring %s up: %s", dev, strerror(errno));
}

/* Names both NICs and brings the control NIC up; returns the index of the link NIC, or 0. It is left down: its role sets MTU and offloads first, and a second reset costs seconds of carrier. */
int start_network(void)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	up(s, "lo");
	if (adopt(s, option("lab.ctl"), CTL_DEV)) {
		set_address(s, CTL_DEV, "10.0.2.15", "255.255.255.0");
		up(s, CTL_DEV);
	} else {
		say("there is no control NIC with MAC %s", option("lab.ctl"));
	}
	link_index = adopt(s, option("lab.link"), LINK_DEV);
	close(s);
	return link_index;
}

static void report_link(const struct nlmsghdr *h)
{
	const struct ifinfomsg *i = NLMSG_DATA(h);

	if (h->nlmsg_type == RTM_NEWLINK && i->ifi_index == link_index)
		tell("{\"t\":%.6f,\"event\":\"link\",\"up\":%s,\"carrier\":%s}\n", uptime(),
		     i->ifi_flags & IFF_UP ? "true" : "false", i->ifi_flags & IFF_LOWER_UP ? "true" : "false");
}

void read_links(int netlink)
{
	char buf[16384];
	ssize_t n = recv(netlink, buf, sizeof(buf), MSG_DONTWAIT);
	size_t left = n > 0 ? (size_t)n : 0;

	for (struct nlmsghdr *h = (struct nlmsghdr *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
		report_link(h);
}

/* A socket that becomes readable when an interface changes. */
int watch_links(void)
{
	struct sockaddr_nl group = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (bind(s, (struct sockaddr *)&group, sizeof(group)))
		say("cannot watch links: %s", strerror(errno));
	return s;
}
