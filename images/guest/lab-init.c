// SPDX-License-Identifier: GPL-2.0-only
/*
 * lab-init: pid 1 of a guest, from the first instruction of user space to power-off.
 *
 * Started as /init of the initramfs it loads the modules listed in /modules/load, mounts the read-only userland from a
 * virtio disk, and on it, from another one, the programs that an experiment brought, if any. It moves into that, brings up
 * the control NIC, the cgroup tree, telemetry and an SSH server, and says so on the virtio-serial port "lab.ready". From
 * then on it reaps orphans and reports carrier changes of the link NIC on the same port, so that the host waits for signals
 * and never for seconds.
 *
 * The same port takes orders, a line each: "admit HOSTKEY KEY" gives the SSH server a key of its own, and lets the other
 * one in, and no other; "set ..." is a setting of the link and its stack (lab-init-settle.c), "settled" is answered with
 * how many of them are in force; "rest" is answered when no process is left but telemetry and the SSH server, so that the
 * guest can be saved; "wake" gives the guest that was restored from there an identity of its own (lab-init-wake.c);
 * "echo ADDRESS" is answered when the other end of the link has. One that could not be followed is answered "refused".
 *
 * Kernel command line: lab.nic=MODULE (driver of the link NIC), lab.ctl=MAC, lab.link=MAC, lab.host=NAME,
 * lab.layer=SERIAL (the disk with an experiment's own programs, where it brings any).
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lab-init.h"

#define TELEMETRY_SOCKET "/run/lab-telemetry"

static int ready_fd = -1;
static pid_t telemetry_pid;
static pid_t ssh_pid;
static int echo_fd = -1;
static int resting; /* asked to rest, and not answered yet */
static int awaited_fd = -1; /* of a process that has to end before that */

double uptime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("lab-init: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

/* A guest that cannot start is told on the console, and powers off so that nobody waits for it. */
static void die(const char *what)
{
	say("cannot %s: %s", what, strerror(errno));
	sync();
	reboot(RB_POWER_OFF);
	_exit(1);
}

void tell(const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (ready_fd >= 0 && n > 0 && write(ready_fd, line, (size_t)n) != n)
		say("the ready port took only part of: %s", line);
}

static void mount_or_die(const char *src, const char *dst, const char *type, unsigned long flags)
{
	if (mount(src, dst, type, flags, NULL) && errno != EBUSY)
		die(dst);
}

int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	if (n < 0)
		say("cannot write %s to %s: %s", text, path, strerror(errno));
	return n < 0 ? -1 : 0;
}

size_t slurp(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, size - 1);

	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = 0;
	return n > 0 ? (size_t)n : 0;
}

/* Value of a lab.* word of the command line; "" when it is not there. */
const char *option(const char *key)
{
	static char cmdline[4096];
	static char value[256];
	char *at;

	if (!cmdline[0])
		slurp("/proc/cmdline", cmdline, sizeof(cmdline));
	at = strstr(cmdline, key);
	if (!at || at[strlen(key)] != '=')
		return "";
	snprintf(value, sizeof(value), "%s", at + strlen(key) + 1);
	value[strcspn(value, " \n")] = 0;
	return value;
}

static void load_module(const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "/modules/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
		say("cannot load %s: %s", name, strerror(errno));
	if (fd >= 0)
		close(fd);
	unlink(path); /* an initramfs file is RAM that the experiment should have */
}

/* /modules/load has lines "core FILE" and "nic:MODEL FILE"; only the NIC this guest has is loaded. */
static void load_modules(void)
{
	char nic[64], want[64], name[128];
	FILE *list = fopen("/modules/load", "re");

	if (!list)
		return; /* a kernel with everything built in */
	snprintf(nic, sizeof(nic), "nic:%s", option("lab.nic"));
	while (fscanf(list, "%63s %127s", want, name) == 2)
		if (!strcmp(want, "core") || !strcmp(want, nic))
			load_module(name);
		else
			unlink(strcat(strcpy((char[256]){ 0 }, "/modules/"), name));
	fclose(list);
}

/* Device node of the disk that has this serial number; 0: there is none, or not yet. */
static int find_disk(const char *serial, char *dev, size_t size)
{
	char path[64], told[64];
	char letter;

	for (letter = 'a'; letter <= 'c'; letter++) {
		snprintf(path, sizeof(path), "/sys/block/vd%c/serial", letter);
		if (!slurp(path, told, sizeof(told)))
			continue;
		told[strcspn(told, "\n")] = 0;
		snprintf(dev, size, "/dev/vd%c", letter);
		if (!strcmp(told, serial) && !access(dev, F_OK))
			return 1;
	}
	return 0;
}

/* By its serial: which of two disks is found first, nobody promises. */
static void mount_disk(const char *serial, const char *target)
{
	struct timespec ms = { .tv_nsec = 1000000 };
	char dev[16] = "", what[128];
	int i;

	/* Probing of a PCI device may outlive finit_module(): no event reaches a process without udev. */
	for (i = 0; i < 10000 && !find_disk(serial, dev, sizeof(dev)); i++)
		nanosleep(&ms, NULL);
	snprintf(what, sizeof(what), "mount the disk %s (erofs) at %s", serial, target);
	if (mount(dev, target, "erofs", MS_RDONLY, NULL))
		die(what);
}

static void enter_userland(void)
{
	static const char *const moved[] = { "/dev", "/proc", "/sys" };
	char target[64];
	int i;

	mount_disk("userland", "/root");
	if (option("lab.layer")[0]) /* programs that an experiment brought */
		mount_disk(option("lab.layer"), "/root/usr/lib/layer");
	for (i = 0; i < 3; i++) {
		snprintf(target, sizeof(target), "/root%s", moved[i]);
		if (mount(moved[i], target, NULL, MS_MOVE, NULL))
			die(target);
	}
	if (chdir("/root") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
		die("enter the userland");
}

static void mount_rest(void)
{
	mount_or_die("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV);
	mount_or_die("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV);
	mkdir("/dev/pts", 0755);
	mkdir("/dev/shm", 01777);
	mount_or_die("devpts", "/dev/pts", "devpts", 0);
	mount_or_die("tmpfs", "/dev/shm", "tmpfs", 0);
	mount_or_die("cgroup2", "/sys/fs/cgroup", "cgroup2", 0);
	put("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	if (mkdir("/sys/fs/cgroup/lab", 0755))
		die("make /sys/fs/cgroup/lab");
	put("/sys/fs/cgroup/lab/cgroup.subtree_control", "+memory");
	sethostname(option("lab.host"), strlen(option("lab.host")));
}

/* Device node of a virtio-serial port by its name; there is no udev to make a link of that name. */
static int find_port(const char *want, char *dev, size_t size)
{
	char path[300], name[64];
	struct dirent *e;
	DIR *d = opendir("/sys/class/virtio-ports");
	int found = 0;

	while (d && !found && (e = readdir(d))) {
		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", e->d_name);
		if (e->d_name[0] == '.' || !slurp(path, name, sizeof(name)))
			continue;
		name[strcspn(name, "\n")] = 0;
		found = !strcmp(name, want);
		if (found)
			snprintf(dev, size, "/dev/%.100s", e->d_name);
	}
	if (d)
		closedir(d);
	return found;
}

/* Starts the program in `path`; `out` becomes its standard output, unless it is -1. */
static pid_t spawn(const char *path, char *const argv[], int out)
{
	static char *const env[] = { "PATH=/usr/lib/lab:/usr/lib/layer:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", NULL };
	sigset_t none;
	pid_t pid = fork();

	if (pid)
		return pid;
	setsid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (out >= 0)
		dup2(out, 1);
	execve(path, argv, env);
	say("cannot start %s: %s", path, strerror(errno));
	_exit(127);
}

static void start_telemetry(void)
{
	char port[128];

	if (!find_port("lab.telemetry", port, sizeof(port))) {
		say("there is no virtio-serial port lab.telemetry");
		return;
	}
	telemetry_pid = spawn("/usr/lib/lab/lab-telemetry", (char *[]){ "lab-telemetry", "--out", port, "--interval", "100",
									"--socket", TELEMETRY_SOCKET, NULL }, -1);
}

/* A process whose parent is init or the SSH server, beside these: an SSH session, or what one left behind. 0: none. */
static pid_t other_process(void)
{
	char path[300], stat[512];
	struct dirent *e;
	DIR *d = opendir("/proc");
	int found = 0, pid, parent;

	while (d && !found && (e = readdir(d))) {
		pid = atoi(e->d_name);
		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		if (pid <= 1 || pid == telemetry_pid || pid == ssh_pid || !slurp(path, stat, sizeof(stat)))
			continue;
		/* the name in brackets may hold anything */
		if (sscanf(strrchr(stat, ')') ? strrchr(stat, ')') : "", ") %*c %d", &parent) == 1 &&
		    (parent == 1 || (ssh_pid && parent == ssh_pid))) /* kthreadd has parent 0 */
			found = pid;
	}
	if (d)
		closedir(d);
	return found;
}

/*
 * A server that forks for each connection: to execute one for each would have TCG translate the dynamic linker and half
 * of libc first in every guest that was restored. dropbear executes itself again where its name is a file's (DROPBEAR_REEXEC
 * in svr-main.c), hence the one it is given. It listens before it puts itself into the background, so "ready" is not said
 * before a connection would be answered. By -R each connection reads /etc/dropbear/dropbear_ed25519_host_key, a link to
 * /run/hostkey, for itself, which a restored guest has made anew by then; but only if it was not there from the beginning.
 */
static void start_ssh(void)
{
	int status = -1;

	waitpid(spawn("/usr/sbin/dropbear", (char *[]){ "dropbear", "-R", "-s", "-j", "-k", NULL }, -1), &status, 0);
	ssh_pid = other_process();
	if (status || !ssh_pid)
		die("start the SSH server");
}

/* Answers when nobody is left, or waits for the end of somebody who is, to look again. */
static void rest(void)
{
	pid_t pid;

	if (awaited_fd >= 0)
		close(awaited_fd);
	awaited_fd = -1;
	while (resting && awaited_fd < 0) {
		pid = other_process();
		if (!pid) {
			resting = 0;
			tell("{\"t\":%.6f,\"event\":\"resting\"}\n", uptime());
		} else if ((awaited_fd = (int)syscall(SYS_pidfd_open, pid, 0)) < 0 && errno != ESRCH) {
			resting = 0;
			say("cannot wait for process %d: %s", pid, strerror(errno));
			tell("{\"t\":%.6f,\"event\":\"refused\"}\n", uptime());
		}
	}
}

static void reap(void)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == telemetry_pid || pid == ssh_pid)
			tell("{\"t\":%.6f,\"event\":\"died\",\"program\":\"%s\",\"status\":%d}\n", uptime(),
			     pid == ssh_pid ? "dropbear" : "lab-telemetry", status);
}

/* One line of the ready port. An order that is not known is told there: the host waits for an answer. */
static void obey(char *line)
{
	if (!strcmp(line, "rest")) {
		resting = 1;
		rest();
	} else if (!strncmp(line, "echo ", 5)) {
		echo_fd = send_echo(line + 5);
	} else if (!strcmp(line, "settled")) {
		tell_settled();
	} else if (!strncmp(line, "admit ", 6) && !admit(line + 6)) {
		tell("{\"t\":%.6f,\"event\":\"admitted\"}\n", uptime());
	} else if (!strncmp(line, "set ", 4) ? settle(line + 4) : strncmp(line, "wake ", 5) || wake(line + 5)) {
		tell("{\"t\":%.6f,\"event\":\"refused\"}\n", uptime());
	}
}

/* Several may come at once, and the last of them in part: what a guest that boots is told waits until it reads. */
static void take_orders(void)
{
	static char orders[4096];
	static size_t have;
	ssize_t n = read(ready_fd, orders + have, sizeof(orders) - 1 - have);
	char *line = orders, *end;

	if (n <= 0)
		return;
	orders[have + (size_t)n] = 0;
	for (; (end = strchr(line, '\n')); line = end + 1) {
		*end = 0;
		obey(line);
	}
	have = strlen(line);
	memmove(orders, line, have);
	if (have == sizeof(orders) - 1)
		have = 0; /* no order is as long */
}

static void serve(int sfd, int nl)
{
	struct pollfd p[] = { { sfd, POLLIN, 0 }, { nl, POLLIN, 0 }, { -1, POLLIN, 0 }, { -1, POLLIN, 0 }, { ready_fd, POLLIN, 0 } };
	struct signalfd_siginfo si;

	for (;;) {
		/* A port without a reader says so for ever: then look for orders ten times a second. */
		int alone = p[4].revents & POLLHUP;

		p[2].fd = awaited_fd;
		p[3].fd = echo_fd;
		if (poll(p, alone ? 4 : 5, alone ? 100 : -1) < 0 && errno != EINTR)
			die("poll");
		if (p[1].revents)
			read_links(nl);
		if (p[2].revents)
			rest();
		if (p[3].revents)
			read_echo(echo_fd);
		if (alone)
			p[4].revents = 0;
		if (p[4].revents & POLLIN)
			take_orders();
		if (!(p[0].revents & POLLIN) || read(sfd, &si, sizeof(si)) != sizeof(si))
			continue;
		if (si.ssi_signo == SIGTERM) {
			sync();
			reboot(RB_POWER_OFF);
		}
		reap();
	}
}

int main(void)
{
	char port[128];
	sigset_t set;
	int nl, has_link;

	mount_or_die("devtmpfs", "/dev", "devtmpfs", 0);
	dup2(dup2(open("/dev/console", O_RDWR), 1), 2);
	mount_or_die("proc", "/proc", "proc", 0);
	mount_or_die("sysfs", "/sys", "sysfs", 0);
	load_modules();
	enter_userland();
	mount_rest();
	has_link = start_network();
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	nl = watch_links();
	put("/proc/self/oom_score_adj", "-1000"); /* inherited by what serves SSH: the abuser is watched to its end */
	start_telemetry();
	start_ssh();
	sigprocmask(SIG_BLOCK, &set, NULL);
	put("/proc/sys/kernel/printk", "7"); /* boot is quiet for speed; what comes now is evidence */
	if (find_port("lab.ready", port, sizeof(port)))
		ready_fd = open(port, O_RDWR | O_CLOEXEC);
	tell("{\"t\":%.6f,\"event\":\"ready\",\"link\":%s}\n", uptime(), has_link ? "true" : "false");
	serve(signalfd(-1, &set, SFD_CLOEXEC), nl);
}
