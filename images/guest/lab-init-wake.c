// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The third part of lab-init: a guest that was restored from a saved state becomes one of its own. Many are restored
 * from the same state, so what must differ between them, or is stale, is made anew before anybody is let in.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "lab-init.h"

#define SEED_BYTES 32

static int set_clock(long long ns)
{
	struct timespec now = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	return clock_settime(CLOCK_REALTIME, &now);
}

/* Without this every guest restored from one state would draw the same numbers, and make the same host key. */
static int reseed(const char *hex)
{
	struct {
		struct rand_pool_info info;
		unsigned char bytes[SEED_BYTES];
	} seed = { .info = { .entropy_count = SEED_BYTES * 8, .buf_size = SEED_BYTES } };
	int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC), bad = fd < 0, i;

	for (i = 0; i < SEED_BYTES; i++)
		bad |= sscanf(hex + 2 * i, "%2hhx", (unsigned char *)seed.info.buf + i) != 1;
	bad = bad || ioctl(fd, RNDADDENTROPY, &seed) || ioctl(fd, RNDRESEEDCRNG);
	if (fd >= 0)
		close(fd);
	return bad;
}

static int has_carrier(void)
{
	char text[4];

	return slurp("/sys/class/net/" LINK_DEV "/carrier", text, sizeof(text)) && text[0] == '1';
}

/*
 * order: NANOSECONDS-SINCE-1970 SEED-IN-HEX MAC IPV4 IPV6, the addresses those of the link NIC or "-".
 * Answered like a boot, with the new host key. Returns non-zero, and says why, when something could not be done.
 */
int wake(const char *order)
{
	char seed[2 * SEED_BYTES + 1], mac[18], v4[16], v6[46], hostkey[1024];
	long long ns;

	if (sscanf(order, "%lld %64s %17s %15s %45s", &ns, seed, mac, v4, v6) != 5 || strlen(seed) != 2 * SEED_BYTES) {
		say("not an order to wake: %s", order);
		return -1;
	}
	if (set_clock(ns) || reseed(seed)) {
		say("cannot set clock and seed: %s", strerror(errno));
		return -1;
	}
	if (readdress(mac, v4, v6))
		return -1;
	make_hostkey(hostkey, sizeof(hostkey));
	tell("{\"t\":%.6f,\"event\":\"link\",\"carrier\":%s}\n", uptime(), has_carrier() ? "true" : "false");
	tell("{\"t\":%.6f,\"event\":\"awake\",\"hostkey\":\"%s\"}\n", uptime(), hostkey);
	return 0;
}
