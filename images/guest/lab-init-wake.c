// SPDX-License-Identifier: GPL-2.0-only
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
#define LOGIN_BYTES 127 /* at most; the base64 of an ed25519 key has 68 */
#define KEY_BYTES 256 /* at most; dropbear's file of an ed25519 key has 83 */

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

/* The host made it: under emulation a key takes dropbearkey a quarter of a second. */
static int take_hostkey(const char *hex)
{
	unsigned char key[KEY_BYTES];
	size_t n = strlen(hex) / 2, i;
	int fd = open("/run/hostkey", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), bad = fd < 0;

	for (i = 0; i < n; i++)
		bad |= sscanf(hex + 2 * i, "%2hhx", key + i) != 1;
	bad = bad || write(fd, key, n) != (ssize_t)n;
	if (fd >= 0)
		close(fd);
	return bad;
}

/* The one key that opens this guest: its host makes one for each pair. dropbear reads the file at every login. */
static int let_in(const char *key)
{
	int fd = open("/run/authorized_keys", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), bad = fd < 0;

	bad = bad || dprintf(fd, "ssh-ed25519 %s\n", key) < 0;
	if (fd >= 0)
		close(fd);
	if (bad)
		say("cannot take the key of the host: %s", strerror(errno));
	return bad;
}

/* order: HOSTKEY KEY; the first in hex. dropbear runs when this comes: see start_ssh() in lab-init.c. */
int admit(const char *order)
{
	char key[2 * KEY_BYTES + 1], login[LOGIN_BYTES + 1];

	if (sscanf(order, "%512s %127s", key, login) != 2) {
		say("not an order to let somebody in");
		return -1;
	}
	if (!take_hostkey(key))
		return let_in(login);
	say("cannot take the host key: %s", strerror(errno));
	return -1;
}

static int has_carrier(void)
{
	char text[4];

	return slurp("/sys/class/net/" LINK_DEV "/carrier", text, sizeof(text)) && text[0] == '1';
}

/*
 * order: NANOSECONDS-SINCE-1970 SEED HOSTKEY MAC IPV4 IPV6 KEY; seed and host key in hex, the addresses those of the
 * link NIC or "-", and the key that is let in from now on. Returns non-zero, and says why, when something could not be done.
 */
int wake(const char *order)
{
	char seed[2 * SEED_BYTES + 1], key[2 * KEY_BYTES + 1], mac[18], v4[16], v6[46], login[LOGIN_BYTES + 1];
	long long ns;

	if (sscanf(order, "%lld %64s %512s %17s %15s %45s %127s", &ns, seed, key, mac, v4, v6, login) != 7 ||
	    strlen(seed) != 2 * SEED_BYTES) {
		say("not an order to wake");
		return -1;
	}
	if (set_clock(ns) || reseed(seed) || take_hostkey(key)) {
		say("cannot take clock, seed and host key: %s", strerror(errno));
		return -1;
	}
	if (let_in(login) || readdress(mac, v4, v6))
		return -1;
	tell("{\"t\":%.6f,\"event\":\"link\",\"carrier\":%s}\n", uptime(), has_carrier() ? "true" : "false");
	tell("{\"t\":%.6f,\"event\":\"awake\"}\n", uptime());
	return 0;
}
