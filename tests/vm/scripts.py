# SPDX-License-Identifier: GPL-2.0-only
"""Experiments that do to a guest what no suite does: `python -m tests.vm.scripts PLAN SCRIPT`, in a process of its own.

Its own, because libvirt allows one embedded driver per process and wants its QEMUs reaped by a parent that does so.
"""

from __future__ import annotations

import functools
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from lab.experiments.found import case_named
from lab.host.paths import cache_root
from lab.pair import warm
from lab.pair.keeper import PairKeeper
from lab.pair.ready import ReadyPair
from lab.plan.case import HELD, RELEASED
from lab.plan.session import load
from lab.provision.hypervisor import connect
from lab.provision.process import find_emulator
from lab.provision.states import SavedState
from lab.trial.steps import Steps
from lab.trial.trial import Trial

# Stops what speaks, and with it the proof of life: as seen from outside, the kernel hangs.
HUSH = 'for p in /proc/[0-9]*; do read -r c < $p/comm; [ "$c" != lab-telemetry ] || kill -STOP "${p#/proc/}"; done'


IDENTITY = "cat /sys/class/net/lab0/address; head -c 16 /dev/urandom | od -An -tx1; date +%s"


def crash(experiment: Steps) -> None:
    """The guest's kernel panics in the middle of traffic."""
    experiment.start()
    experiment.ready.receiver.run(["sh", "-c", "echo c > /proc/sysrq-trigger"], seconds=60)


def hush(experiment: Steps) -> None:
    """The guest says nothing more, though its QEMU runs."""
    experiment.start()
    experiment.ready.receiver.check(["sh", "-c", HUSH], seconds=60)
    experiment.observe(samples=600)


def held_while(experiment: Steps, command: str) -> None:
    """The ordinary steps of `hold`, and a command on the receiver in the middle of them."""
    experiment.start()
    experiment.delivered()
    experiment.ready.receiver.check(["sh", "-c", command])
    experiment.checkpoint(HELD)
    experiment.release()
    experiment.checkpoint(RELEASED)
    experiment.end()


def deaf(experiment: Steps) -> None:
    """From here on no line of the kernel reaches the console."""
    held_while(experiment, "echo 1 > /proc/sys/kernel/printk")


def skipped(experiment: Steps) -> None:
    """One line of the kernel does not reach the console."""
    level = "/proc/sys/kernel/printk"
    held_while(experiment, f"was=$(cat {level}); echo 1 > {level}; echo '<4>unheard' > /dev/kmsg; echo $was > {level}")


def tainted(experiment: Steps) -> None:
    """The kernel says that it warned, and its console does not say of what."""
    held_while(experiment, "echo 512 > /proc/sys/kernel/tainted")


def identity(experiment: Steps) -> None:
    """What must differ between guests that were restored from one state, written beside the plan."""
    pair = experiment.ready
    told: dict[str, object] = {}
    for role, shell in pair.shells.items():
        words = shell.check(["sh", "-c", IDENTITY])
        address, random, now = words.decode().splitlines()
        link = shell.check(["ip", "-br", "address", "show", "lab0"]).decode()
        behind = abs(time.time() - int(now))
        key = pair.pair.guests[role].signals.hostkey
        told[role] = {"mac": address, "random": random, "behind": behind, "link": link, "hostkey": key}
    told["planned"] = {role: asdict(address) for role, address in pair.pair.addresses.items()}
    (experiment.bundle.root.parent / "identity.json").write_text(json.dumps(told))


# A program that speaks on a port keeps it to itself, so its descriptor is borrowed by pidfd_getfd(2).
BORROW = """
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	static char lines[65536], path[64], name[256];
	int owner = syscall(SYS_pidfd_open, atoi(argv[1]), 0);

	memset(lines, argv[2][0] == 'n' ? '\\n' : 'a', sizeof(lines));
	for (int fd = 0; fd < 64; fd++) {
		snprintf(path, sizeof(path), "/proc/%s/fd/%d", argv[1], fd);
		memset(name, 0, sizeof(name));
		if (readlink(path, name, sizeof(name) - 1) < 0 || !strstr(name, "vport"))
			continue;
		for (int port = syscall(SYS_pidfd_getfd, owner, fd, 0);;)
			if (write(port, lines, sizeof(lines)) < 0)
				usleep(1000);
	}
	return 1;
}
"""
TELEMETRY = 'for p in /proc/[0-9]*; do read -r c < $p/comm; [ "$c" != lab-telemetry ] || echo "${p#/proc/}"; done'


def port(experiment: Steps, owner: str, what: str) -> None:
    """A port is filled as fast as the guest can: that of telemetry, or of init."""
    experiment.start()
    receiver = experiment.ready.receiver
    binary = experiment.bundle.root.parent / "borrow"
    receiver.check(["sh", "-c", "cat > /run/borrow && chmod +x /run/borrow"], stdin=binary.read_bytes())
    pid = "1" if owner == "init" else receiver.check(["sh", "-c", TELEMETRY]).decode().strip()
    receiver.start("flood", ("/run/borrow", pid, what), experiment.bundle.path("receiver/flood.jsonl"))
    experiment.observe(samples=600)


def console(experiment: Steps) -> None:
    """Newlines on the console: a serial port takes few bytes a second, but each may be a line."""
    experiment.start()
    argv = ("sh", "-c", "yes '' > /dev/console")
    experiment.ready.receiver.start("flood", argv, experiment.bundle.path("receiver/flood.jsonl"))
    experiment.observe(samples=6000)


def program(experiment: Steps) -> None:
    """40 MiB of newlines from a program over SSH."""
    experiment.start()
    argv = ("sh", "-c", "yes '' | head -c 41943040")
    experiment.ready.receiver.start("flood", argv, experiment.bundle.path("receiver/flood.jsonl"))
    experiment.observe(samples=600)


def command(experiment: Steps) -> None:
    """A command whose output does not end."""
    experiment.start()
    experiment.ready.receiver.check(["yes", "a" * 100], seconds=100)


def killed(keeper: PairKeeper) -> None:
    """A guest's QEMU is killed while its pair, which is restored, is looked over."""

    def looked_over(ready: ReadyPair, state: SavedState) -> None:
        emulator = find_emulator(ready.pair.receiver.plan.name)
        assert emulator is not None
        emulator.end()
        ready.receiver.check(["echo", state.key])

    keeper.progress("killing what is restored")
    warm.check_health = looked_over


SCRIPTS: dict[str, Callable[[Steps], None]] = {
    "crash": crash,
    "hush": hush,
    "deaf": deaf,
    "skipped": skipped,
    "tainted": tainted,
    "identity": identity,
    "telemetry": functools.partial(port, owner="telemetry", what="a"),
    "ready-port": functools.partial(port, owner="init", what="newlines"),
    "console": console,
    "program": program,
    "command": command,
    "killed-restore": lambda experiment: experiment.start(),
}


def main(plan_file: str, script: str) -> None:
    plan = load(Path(plan_file).read_bytes(), cache_root())
    with connect(plan.connect, plan.sockets / "t") as hypervisor:
        keeper = PairKeeper(hypervisor, plan, print)
        if script == "killed-restore":
            killed(keeper)
        run = plan.runs[0]
        with Trial(run, plan, keeper, print, case_named(run.case)) as experiment:
            SCRIPTS[script](experiment)
        keeper.close()
    used = {"peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    (plan.folder / "used.json").write_text(json.dumps(used))


if __name__ == "__main__":
    main(*sys.argv[1:])
