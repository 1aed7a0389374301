# SPDX-License-Identifier: GPL-2.0-only
"""Runs one selftest in fresh guests: its files go into them, and what it says comes into the bundle.

Every test gets guests of its own: no test inherits what another has left behind, and whatever a console says is about
the one test that ran.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from lab.errors import DeadlinePassed
from suites.selftests.commands import (
    GUEST_DISK,
    GUEST_HOME,
    GUEST_ROOT,
    KEY,
    command_in_guest,
    endpoint_environment,
    lacking,
)
from suites.selftests.table import LINK_DEV, OUTPUT, PEER_OUTPUT, TEST, Selftest, row_for

if TYPE_CHECKING:
    from lab.drive.ssh import GuestShell, Program
    from lab.trial.steps import Steps
    from lab.units import Deadline

LISTEN_LIMIT = timedelta(seconds=40)
LAST_WORDS_LIMIT = timedelta(seconds=20)
"""For the receiver's numbers, once the sender has ended."""


def run_selftest(pair: Steps) -> None:
    """The files of a test into its guests; the test, to its end; how it was run, into the bundle."""
    from suites.selftests.record import Brought, TestRecord

    test, brought = row_for(pair.case.name, None), Brought.model_validate_json(pair.brought("brought.json"))
    told: dict[str, Any] = {name: getattr(brought, name) for name in ("source", "source_version", "cases", "built")}
    try:
        pair.listen()
        if not brought.built:
            copy_test(pair)
            told["skip"] = unmet(pair, test)
            told["lacking"] = lacking(brought.asked, config_of(pair.ready.receiver))
        if not brought.built and not told["skip"]:
            prepare_guests(pair, test)
            run_in_guests(pair, test, brought.seconds, told)
        pair.heard()
    finally:
        pair.bundle.add(TEST, TestRecord(**told).model_dump_json(indent=1).encode())


def copy_test(pair: Steps) -> None:
    """The archive that was packed for it, unpacked in each guest."""
    pair.unpack(pair.brought("test.tar.gz"), str(GUEST_ROOT))
    for shell in pair.ready.shells.values():
        shell.check(["mkdir", "-p", str(GUEST_HOME / ".ssh")])


def unmet(pair: Steps, test: Selftest) -> str:
    """What these guests lack, with the kernel options that give it; "" when they have all that the test needs."""
    if test.pair and len(pair.ready.shells) < 2:
        return f"it needs two machines, and {pair.run.nic} has one"
    lacks = [need for need in test.needs if pair.ready.receiver.run(["sh", "-c", need.probe], seconds=20).status]
    return "; ".join(f"this kernel has no {need.what} ({need.options})" for need in lacks)


def config_of(shell: GuestShell) -> str:
    """The kernel's own word on its options; "" from one that keeps none."""
    return shell.run(["zcat", "/proc/config.gz"], seconds=20).stdout.decode(errors="replace")


def prepare_guests(pair: Steps, test: Selftest) -> None:
    """A disk where the test wants one, and a way to the other end where it drives that by itself."""
    if test.disk:
        # losetup apart from mount, which holds the loop device open for writing while it mounts: the kernel refuses
        # that without CONFIG_BLK_DEV_WRITE_MOUNTED.
        disk = GUEST_ROOT / "disk.ext2"
        script = f"mkdir -p {GUEST_DISK} && mount $(losetup -f --show {disk}) {GUEST_DISK}"
        pair.ready.receiver.check(["sh", "-c", script])
    if drives_the_other_end(test):
        introduce(pair)


def drives_the_other_end(test: Selftest) -> bool:
    return test.pair and not test.peer


def introduce(pair: Steps) -> None:
    """Let the receiver in to the sender by SSH: a key that is made here, and dies with the pair.

    The guests' root is read-only, so the sender's list of keys is replaced by mounting another one over it.
    """
    receiver, both = pair.ready.receiver, pair.ready.pair
    made = receiver.check(["dropbearkey", "-t", "ed25519", "-f", str(KEY)]).decode()
    public = next(line for line in made.splitlines() if line.startswith("ssh-ed25519 "))
    known = f"{both.addresses['sender'].v4} {' '.join(both.sender.signals.hostkey.split()[:2])}\n"
    receiver.check(["sh", "-c", f"cat > {GUEST_HOME}/.ssh/known_hosts"], stdin=known.encode())
    keys = "/root/.ssh/authorized_keys"
    script = f"umask 077; cat {keys} - > {GUEST_HOME}/keys && mount --bind {GUEST_HOME}/keys {keys}"
    pair.ready.sender.check(["sh", "-c", script], stdin=f"{public}\n".encode())


def run_in_guests(pair: Steps, test: Selftest, seconds: int, told: dict[str, Any]) -> None:
    """The test in the receiver, and its peer, where it has one, in the sender. That its time is up is told."""
    from lab.units import Deadline

    addresses = pair.ready.pair.addresses
    environment = endpoint_environment(addresses, LINK_DEV) if drives_the_other_end(test) else {}
    told["argv"] = command_in_guest(test, test.argv, environment, addresses)
    deadline = Deadline.after(f"{test.name} (it had {seconds} s)", timedelta(seconds=seconds))
    program = pair.ready.receiver.start(test.name, told["argv"], pair.bundle.path(OUTPUT))
    try:
        if test.peer:
            run_peer(pair, test, program, deadline, told)
        else:
            pair.await_end(program, deadline)
    except DeadlinePassed as exc:
        told["timed_out"] = exc.message
    told["status"] = program.status


def run_peer(pair: Steps, test: Selftest, program: Program, deadline: Deadline, told: dict[str, Any]) -> None:
    """The other half of a test that is a server and a client; the test is over when its peer has ended."""
    from lab.units import Deadline

    def listening() -> bool:
        found = pair.ready.receiver.check(["ss", "-Htln", f"sport = :{test.port}"]).strip()
        return bool(found) or program.ended

    def spoken() -> bool:
        text = program.stdout.read_text(errors="replace")
        return all(re.search(e.pattern, text, re.MULTILINE) for e in test.expects)

    await_it(listening, Deadline.after(f"a listener on port {test.port}", LISTEN_LIMIT), program)
    told["peer_argv"] = command_in_guest(test, test.peer, {}, pair.ready.pair.addresses)
    peer = pair.ready.sender.start(f"{test.name}'s peer", told["peer_argv"], pair.bundle.path(PEER_OUTPUT))
    pair.await_end(peer, deadline)
    told["peer_status"] = peer.status
    await_it(spoken, Deadline.after("what the receiver has to say", LAST_WORDS_LIMIT), program)


def await_it(is_so: Callable[[], bool], deadline: Deadline, program: Program) -> None:
    """Of what nobody announces: a listening socket, the last words of a server. Raises DeadlinePassed."""
    from lab.collect.stream import last_lines
    from lab.units import wait_until

    def seen() -> tuple[bool | None, object]:
        lines = last_lines(program.stdout, 1)
        last = lines[-1].decode(errors="replace")[:200] if lines else "(it said nothing)"
        return (True if is_so() else None), last

    wait_until(seen, deadline=deadline, pause=timedelta(seconds=0.2))
