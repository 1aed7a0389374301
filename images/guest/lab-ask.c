// SPDX-License-Identifier: GPL-2.0-only
/* One lab-telemetry asks another for a sample right now: it connects, and is sent a byte when the sample is out. */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "lab-telemetry.h"

#define PATIENCE_S 10

static int stream(const char *path, struct sockaddr_un *a)
{
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*a = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof(a->sun_path))
		die(1, "%s: too long for a socket", path);
	strcpy(a->sun_path, path);
	if (s < 0)
		die(1, "socket: %s", strerror(errno));
	return s;
}

int ask_listen(const char *path)
{
	struct sockaddr_un a;
	int s = stream(path, &a);

	unlink(path);
	if (bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, 4) < 0)
		die(1, "%s: %s", path, strerror(errno));
	return s;
}

int ask_taken(int s)
{
	return accept4(s, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

void ask_answered(int asker)
{
	send(asker, "", 1, MSG_NOSIGNAL); /* who asked may be gone */
	close(asker);
}

void ask(const char *path)
{
	struct timeval patience = { .tv_sec = PATIENCE_S };
	struct sockaddr_un a;
	int s = stream(path, &a);
	char answer;

	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)); /* of connect() */
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(s, (struct sockaddr *)&a, sizeof(a)) < 0)
		die(1, "%s: %s", path, strerror(errno));
	if (recv(s, &answer, 1, 0) != 1)
		die(1, "%s: telemetry takes no sample", path);
	close(s);
}
