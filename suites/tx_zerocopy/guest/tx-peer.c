// SPDX-License-Identifier: GPL-2.0-only
/* tx-peer: connects to tx-client and receives, at once or when it is told to; says how much and its hash. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "commands.h"
#include "dial.h"
#include "labjson.h"
#include "options.h"
#include "pattern.h"

#define PROGRESS_US 100000
#define MAX_SOCKETS 1024
#define BUFFER (256u << 10)

static const char about[] =
	"tx-peer: receives what tx-client sends, the receiving half of such a run.\n"
	"\n"
	"  tx-peer --to ADDRESS --port P [--sockets S] [--bytes N] [--waits] [--verify --seed X]\n"
	"\n"
	"Connects S sockets one after the other (so that they are accepted in the same order),\n"
	"then reads. With --waits it reads nothing until it is told to. It stays until all N bytes\n"
	"have come, the streams have ended, or its standard input has.\n"
	"\n"
	"Commands on standard input, one a line: go (read from now on). End of file means quit.\n"
	"\n"
	"Events, one JSON object a line on standard output:\n"
	"  ready      started (name of the target, pid)\n"
	"  connected  all sockets are connected\n"
	"  progress   at most every 100 ms while bytes arrive: received\n"
	"  done       received; with --verify hash, mismatches, first_mismatch; errno of a connection\n"
	"             that broke; exit status 0\n"
	"  error      this side failed, or nobody answered: message; exit status 1, 2 for options\n";

struct lane {
	int fd;
	bool ended;
	uint64_t offset;
	struct pattern pattern;
	struct stream_hash hash;
};

static const char *to;
static uint64_t port, sockets = 1, bytes, seed, rcvbuf, connect_seconds = 10;
static bool verify, waits;
static struct lane *lanes;
static struct pollfd *fds; /* standard input, then the lanes */
static uint64_t received, reported, last_progress;
static struct mismatch mismatch = {.first = -1};
static int broken;
static unsigned char buffer[BUFFER];

static void say(const char *event, bool final)
{
	static char line[1024];
	struct json j;
	uint64_t hash = 0, k;

	json_start(&j, line, sizeof(line), event);
	json_num(&j, "received", (int64_t)received);
	if (final && broken)
		json_num(&j, "errno", broken);
	if (final && verify) {
		for (k = 0; k < sockets; k++)
			hash ^= stream_hash_value(&lanes[k].hash);
		json_hex(&j, "hash", hash);
		json_num(&j, "mismatches", (int64_t)mismatch.count);
		json_num(&j, "first_mismatch", mismatch.first);
	}
	json_finish(&j);
	if (!json_emit(&j))
		exit(1);
}

static void say_ready(void)
{
	static char line[1024];
	struct json j;

	json_start(&j, line, sizeof(line), "ready");
	json_str(&j, "to", to);
	json_num(&j, "port", (int64_t)port);
	json_num(&j, "pid", getpid());
	json_finish(&j);
	json_emit(&j);
}

static void quit(void)
{
	say("done", true);
	exit(0);
}

static void obey(const char *command)
{
	if (!strcmp(command, "go"))
		waits = false;
	else if (*command)
		die(1, "unknown command \"%s\"", command);
}

static void take(struct lane *l)
{
	ssize_t n = recv(l->fd, buffer, sizeof(buffer), 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
		broken = errno;
	if (n <= 0) {
		l->ended = true;
		return;
	}
	if (verify) {
		pattern_check(l->pattern, l->offset, buffer, (size_t)n, &mismatch);
		stream_hash_add(&l->hash, buffer, (size_t)n);
	}
	l->offset += (uint64_t)n;
	received += (uint64_t)n;
}

static void progress(void)
{
	uint64_t now = now_us();

	if (received == reported || now - last_progress < PROGRESS_US)
		return;
	reported = received;
	last_progress = now;
	say("progress", false);
}

static bool all_ended(void)
{
	uint64_t k;

	for (k = 0; k < sockets; k++)
		if (!lanes[k].ended)
			return false;
	return true;
}

__attribute__((noreturn)) static void run(void)
{
	uint64_t k;

	for (;;) {
		fds[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
		for (k = 0; k < sockets; k++)
			fds[k + 1] = (struct pollfd){.fd = waits || lanes[k].ended ? -1 : lanes[k].fd, .events = POLLIN};
		if (poll(fds, sockets + 1, -1) < 0 && errno != EINTR)
			die(1, "poll: %s", strerror(errno));
		for (k = 0; k < sockets && !waits; k++)
			if (fds[k + 1].revents)
				take(&lanes[k]);
		progress();
		if ((bytes && received >= bytes) || all_ended())
			quit();
		if (fds[0].revents)
			commands_read(obey, quit);
	}
}

static void parse_options(int argc, char **argv)
{
	struct option_row rows[] = {
		{"to", OPT_TEXT, &to, "ADDRESS", "IPv4 or IPv6 address of tx-client", 0, 0, true},
		{"port", OPT_NUMBER, &port, "P", "its port", 1, 65535, true},
		{"sockets", OPT_NUMBER, &sockets, "S", "connections, default 1", 1, MAX_SOCKETS, false},
		{"bytes", OPT_NUMBER, &bytes, "N", "bytes in all, default 0: until the streams end", 0, INT64_MAX, false},
		{"waits", OPT_FLAG, &waits, NULL, "read nothing until told to", 0, 0, false},
		{"rcvbuf", OPT_NUMBER, &rcvbuf, "N", "SO_RCVBUF of the connections", 1, INT32_MAX, false},
		{"verify", OPT_FLAG, &verify, NULL, "check and hash every byte", 0, 0, false},
		{"seed", OPT_NUMBER, &seed, "X", "seed of the content, default 0", 0, UINT64_MAX, false},
		{"connect-timeout", OPT_NUMBER, &connect_seconds, "S", "seconds for each connection, default 10", 1,
		 600, false},
	};

	options_parse(argc, argv, rows, sizeof(rows) / sizeof(rows[0]), about);
}

int main(int argc, char **argv)
{
	struct sockaddr_storage ss;
	socklen_t len;
	uint64_t k;

	parse_options(argc, argv);
	len = dial_parse(to, port, &ss);
	options_done();
	signal(SIGPIPE, SIG_IGN);
	lanes = calloc(sockets, sizeof(*lanes));
	fds = calloc(sockets + 1, sizeof(*fds));
	if (!lanes || !fds)
		die(1, "no memory for %d sockets", (int)sockets);
	say_ready();
	for (k = 0; k < sockets; k++) {
		lanes[k].fd = dial(&ss, len, (struct dialling){.seconds = connect_seconds, .rcvbuf = rcvbuf});
		lanes[k].pattern = pattern_of(seed, k);
	}
	say("connected", false);
	run();
}
