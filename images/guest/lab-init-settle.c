// SPDX-License-Identifier: GPL-2.0-only
/*
 * The fourth part of lab-init: the settings that make a guest that boots the receiver or the sender of a NIC profile.
 * The host tells them on the ready port, before the guest is there to read them. Each is looked at again after it was
 * made: a driver may take a feature or a length, and keep what it had.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lab-init.h"

static int made; /* settings in force */

static const struct {
	const char *name;
	unsigned int set, get;
} features[] = {
	{ "tso", ETHTOOL_STSO, ETHTOOL_GTSO },
	{ "gso", ETHTOOL_SGSO, ETHTOOL_GGSO },
	{ "gro", ETHTOOL_SGRO, ETHTOOL_GGRO },
};

static int sysctl(char *path)
{
	char file[256], *value = strchr(path, ' ');

	if (!value)
		return -1;
	*value = 0;
	snprintf(file, sizeof(file), "/proc/sys/%s", path);
	return put(file, value + 1);
}

static int set_mtu(int s, const char *mtu)
{
	struct ifreq r = { .ifr_mtu = atoi(mtu) };

	strcpy(r.ifr_name, LINK_DEV);
	if (ioctl(s, SIOCSIFMTU, &r))
		say("%s takes no MTU of %s: %s", LINK_DEV, mtu, strerror(errno));
	if (!ioctl(s, SIOCGIFMTU, &r) && r.ifr_mtu == atoi(mtu))
		return 0;
	say("%s has an MTU of %d, not %s", LINK_DEV, r.ifr_mtu, mtu);
	return -1;
}

/* What counts is that it is off: a driver that does not have it refuses to switch it, and is well. */
static int switch_off(int s, const char *feature)
{
	struct ethtool_value v = { 0 };
	struct ifreq r = { .ifr_data = (char *)&v };
	size_t i, n = sizeof(features) / sizeof(*features);
	int why;

	strcpy(r.ifr_name, LINK_DEV);
	for (i = 0; i < n && strcmp(features[i].name, feature); i++)
		;
	if (i == n) {
		say("there is no feature %s to switch off", feature);
		return -1;
	}
	v.cmd = features[i].set;
	why = ioctl(s, SIOCETHTOOL, &r) ? errno : 0;
	v = (struct ethtool_value){ .cmd = features[i].get, .data = 1 };
	if (!ioctl(s, SIOCETHTOOL, &r) && !v.data)
		return 0;
	say("%s of %s stays on: %s", feature, LINK_DEV, why ? strerror(why) : "the driver keeps it");
	return -1;
}

static int set_addresses(const char *both)
{
	char v4[16], v6[46];

	return sscanf(both, "%15s %45s", v4, v6) == 2 ? readdress("-", v4, v6) : -1;
}

/* Returns non-zero, and says why, when it is not in force now. */
static int apply(char *setting)
{
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), bad = -1;

	if (!strncmp(setting, "sysctl ", 7))
		bad = sysctl(setting + 7);
	else if (!strncmp(setting, "mtu ", 4))
		bad = set_mtu(s, setting + 4);
	else if (!strncmp(setting, "off ", 4))
		bad = switch_off(s, setting + 4);
	else if (!strncmp(setting, "address ", 8))
		bad = set_addresses(setting + 8);
	else if (!strcmp(setting, "up"))
		bad = bring_up(s, LINK_DEV);
	else
		say("not a setting");
	close(s);
	return bad;
}

/* One setting; all that are in force are counted, so that the host sees when one was lost. */
int settle(char *setting)
{
	char told[300];

	snprintf(told, sizeof(told), "%s", setting);
	if (apply(setting)) {
		say("this setting is not in force: %s", told);
		return -1;
	}
	made++;
	return 0;
}

void tell_settled(void)
{
	tell("{\"t\":%.6f,\"event\":\"settled\",\"settings\":%d}\n", uptime(), made);
	made = 0;
}
