# SPDX-License-Identifier: GPL-2.0-only
"""Faults inside a guest, by the lab's own way in: panic, hang, silence, floods, a clock that jumps."""

from __future__ import annotations

import random
import re
import select
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from tests.faults.effects import Effect, NotPossibleError, effect
from tests.faults.hosts import Inject
from tests.faults.processes import Proc, of_role
from tests.faults.sessions import Live

TELEMETRY = (
    'for p in /proc/[0-9]*; do read -r c < $p/comm; [ "$c" != lab-telemetry ] || kill -{how} "${{p#/proc/}}"; done'
)
PORT = 'for n in /sys/class/virtio-ports/*/name; do read -r c < $n; [ "$c" != lab.telemetry ] || p=${n%/name}; done'

PANIC = "echo c > /proc/sysrq-trigger"
HANG = "echo -1 > /proc/sys/kernel/sched_rt_runtime_us; chrt -f 99 sh -c 'while :; do :; done'"
SILENT = TELEMETRY.format(how="STOP")
GONE = TELEMETRY.format(how="KILL")
FLOODS = {
    "console": "while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done > /dev/ttyS0",
    "kmsg": "while :; do echo '<1>flood flood flood flood flood flood flood flood'; done > /dev/kmsg",
    "newlines": "exec tr '\\0' '\\n' < /dev/zero > /dev/ttyS0",
    "port": f"{GONE}; {PORT}; exec cat /dev/zero > /dev/${{p##*/}}",
}
CLOCK = "date -s @$(( $(date +%s) + ({jump}) ))"


def ssh_port(qemu: int) -> int:
    """Where a QEMU listens on loopback for its guest's SSH. Raises NotPossibleError."""
    inodes = set()
    with suppress(OSError):
        for fd in Path(f"/proc/{qemu}/fd").iterdir():
            with suppress(OSError):
                inodes.update(re.findall(r"socket:\[(\d+)\]", str(fd.readlink())))
        for line in Path(f"/proc/{qemu}/net/tcp").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in inodes:
                return int(words[1].split(":")[1], 16)
    raise NotPossibleError(f"QEMU {qemu} listens nowhere")


def keys(live: Live) -> list[Path]:
    """Private keys that open the session's pairs: each has its own, named `PairRequest.key_file`."""
    return sorted(live.world.runtime.rglob("*.key"))


def ssh(live: Live, qemu: Proc, command: str) -> None:
    """Run a command that may never answer. Raises NotPossibleError when nobody lets us in."""
    port, known = ssh_port(qemu.pid), keys(live)
    if not known:
        raise NotPossibleError("there is no key")
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "ConnectTimeout=3"]
    options += ["BatchMode=yes", "IdentitiesOnly=yes"]
    argv = ["ssh", "-F", "/dev/null", *(word for o in options for word in ("-o", o)), "-p", str(port)]
    argv += [word for key in known for word in ("-i", str(key))]
    # it begins when we have heard that it can, so that we know, and goes on when we have left
    inside = f"echo ready; read -r _; ( {command} ) < /dev/null > /dev/null 2>&1 &"
    with subprocess.Popen(
        [*argv, "root@127.0.0.1", inside], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            _begun(process)
        finally:
            with suppress(subprocess.TimeoutExpired):
                process.wait(3)  # a guest that panics ends no connection
            process.kill()


def _begun(process: subprocess.Popen[bytes]) -> None:
    """Have the command begin. Raises NotPossibleError when the guest does not say in time that it can."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    if not select.select([process.stdout], [], [], 10)[0]:
        raise NotPossibleError("the guest does not answer")
    if process.stdout.readline() != b"ready\n":
        raise NotPossibleError(f"no way in: {process.stderr.read().decode(errors='replace').strip()[-80:]}")
    with process.stdin as go:
        go.write(b"go\n")


def guest(live: Live, rng: random.Random, role: str = "") -> Proc:
    """The QEMU of one guest, of that role if given."""
    found = [q for q in of_role(live.world, "qemu") if any(f"{role}," in arg for arg in q.argv)]
    if not found:
        raise NotPossibleError("no guest now")
    return rng.choice(found)


def inside(command: str, role: str = "") -> Inject:
    """A command in one guest."""

    def inject(live: Live, rng: random.Random) -> Effect:
        proc, began = guest(live, rng, role), time.time()
        ssh(live, proc, command)
        return effect(f"{command.split(maxsplit=1)[0]}… in {proc.pair}", began, pair=proc.pair)

    return inject


def flood(name: str) -> Inject:
    """A guest that says more than anybody wants to hear."""

    def inject(live: Live, rng: random.Random) -> Effect:
        proc, began = guest(live, rng), time.time()
        ssh(live, proc, FLOODS[name])
        return effect(f"flood of {name} in {proc.pair}", began, pair=proc.pair)

    return inject


def clock(live: Live, rng: random.Random) -> Effect:
    """The guest's time of day jumps; its monotonic clock does not."""
    proc, began, jump = guest(live, rng), time.time(), rng.choice((-86400, -30, 30, 3600, 10**8))
    ssh(live, proc, CLOCK.format(jump=jump))
    return effect(f"clock of {proc.pair} set by {jump} s", began, pair=proc.pair)
