// SPDX-License-Identifier: GPL-2.0-only
/* The network half of lab-init: finds the two NICs by MAC, brings the control NIC up, reports carrier of the link NIC. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lab-init.h"

#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP 0x10000 /* include/uapi/linux/if.h, which cannot be had together with net/if.h */
#endif

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

static int set_address(int s, const char *dev, const char *ip, const char *mask)
{
	struct ifreq r = { 0 };
	struct sockaddr_in *a = (struct sockaddr_in *)&r.ifr_addr;

	snprintf(r.ifr_name, IFNAMSIZ, "%s", dev);
	a->sin_family = AF_INET;
	if (inet_pton(AF_INET, ip, &a->sin_addr) != 1 || ioctl(s, SIOCSIFADDR, &r)) {
		say("cannot set address %s on %s: %s", ip, dev, strerror(errno));
		return -1;
	}
	inet_pton(AF_INET, mask, &a->sin_addr);
	return ioctl(s, SIOCSIFNETMASK, &r);
}

static int set_mac(int s, const char *dev, const char *mac)
{
	struct ifreq r = { .ifr_hwaddr.sa_family = ARPHRD_ETHER };
	unsigned char *b = (unsigned char *)r.ifr_hwaddr.sa_data;

	snprintf(r.ifr_name, IFNAMSIZ, "%s", dev);
	if (sscanf(mac, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", b, b + 1, b + 2, b + 3, b + 4, b + 5) == 6 &&
	    !ioctl(s, SIOCSIFHWADDR, &r))
		return 0;
	say("cannot set MAC %s on %s: %s", mac, dev, strerror(errno));
	return -1;
}

/* The kernel's struct in6_ifreq; linux/ipv6.h cannot be had together with netinet/in.h. */
struct in6_ifreq {
	struct in6_addr addr;
	uint32_t prefixlen;
	int ifindex;
};

/* Another IPv6 address in place of those with the prefix of ours. */
static int set_address6(const char *ip)
{
	int s = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), bad = 0, prefix;
	struct in6_ifreq r = { .prefixlen = 64, .ifindex = (int)if_nametoindex(LINK_DEV) };
	char hex[40], dev[20], text[48];
	FILE *have = fopen("/proc/net/if_inet6", "re");

	put("/proc/sys/net/ipv6/conf/" LINK_DEV "/accept_dad", "0"); /* the wire has two ends: nobody to ask for a second */
	while (have && fscanf(have, "%32s %*x %x %*x %*x %19s", hex, (unsigned int *)&prefix, dev) == 3) {
		if (strcmp(dev, LINK_DEV) || !strncmp(hex, "fe80", 4))
			continue;
		snprintf(text, sizeof(text), "%.4s:%.4s:%.4s:%.4s:%.4s:%.4s:%.4s:%.4s", hex, hex + 4, hex + 8, hex + 12,
			 hex + 16, hex + 20, hex + 24, hex + 28);
		inet_pton(AF_INET6, text, &r.addr);
		bad |= ioctl(s, SIOCDIFADDR, &r);
	}
	if (have)
		fclose(have);
	bad |= inet_pton(AF_INET6, ip, &r.addr) != 1 || ioctl(s, SIOCSIFADDR, &r);
	if (bad)
		say("cannot set address %s on %s: %s", ip, LINK_DEV, strerror(errno));
	close(s);
	return bad ? -1 : 0;
}

/* Sends an ICMP echo; the socket on which its answer comes, the same for every one. */
int send_echo(const char *v4)
{
	static int s = -1;
	struct sockaddr_in to = { .sin_family = AF_INET };
	/* RFC 792: type 8, code 0, checksum (the complement of the other words' sum), identifier 1, sequence 1 */
	unsigned char packet[8] = { 8, 0, 0xf7, 0xfd, 0, 1, 0, 1 };

	if (s < 0)
		s = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
	if (inet_pton(AF_INET, v4, &to.sin_addr) != 1 ||
	    sendto(s, packet, sizeof(packet), 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		say("cannot send an echo to %s: %s", v4, strerror(errno));
	return s;
}

void read_echo(int echo)
{
	unsigned char packet[256]; /* an IPv4 header, whose length is in its first byte in words, and the answer: type 0 */
	ssize_t n = recv(echo, packet, sizeof(packet), MSG_DONTWAIT);
	ssize_t header = n > 0 ? 4 * (packet[0] & 15) : 0;

	if (n >= header + 8 && packet[header] == 0 && packet[header + 5] == 1)
		tell("{\"t\":%.6f,\"event\":\"echo\"}\n", uptime());
}

/* Other addresses for the link NIC, while it is up; "-" leaves one as it is. */
int readdress(const char *mac, const char *v4, const char *v6)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), bad = 0;

	if (strcmp(mac, "-"))
		bad |= set_mac(s, LINK_DEV, mac);
	if (strcmp(v4, "-"))
		bad |= set_address(s, LINK_DEV, v4, "255.255.255.0");
	if (strcmp(v6, "-"))
		bad |= set_address6(v6);
	close(s);
	return bad;
}

int bring_up(int s, const char *dev)
{
	struct ifreq r = { 0 };

	snprintf(r.ifr_name, IFNAMSIZ, "%s", dev);
	r.ifr_flags = IFF_UP;
	if (!ioctl(s, SIOCSIFFLAGS, &r))
		return 0;
	say("cannot bring %s up: %s", dev, strerror(errno));
	return -1;
}

/* Names both NICs and brings the control NIC up; returns the index of the link NIC, or 0. It is left down: its settings come first (lab-init-settle.c), and a second reset costs seconds of carrier. */
int start_network(void)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	bring_up(s, "lo");
	if (adopt(s, option("lab.ctl"), CTL_DEV)) {
		set_address(s, CTL_DEV, "10.0.2.15", "255.255.255.0");
		bring_up(s, CTL_DEV);
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
