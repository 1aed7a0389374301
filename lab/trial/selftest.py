# SPDX-License-Identifier: GPL-2.0-only
"""Runs one kernel selftest: fresh guests, the test's files into them, its output and the consoles into a bundle.

Every test gets guests of its own: no test inherits what another has left behind, and whatever a console says is about
the one test that ran.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from lab.collect.bundle import BundleWriter
from lab.collect.captures import copy, from_here, from_power_on
from lab.collect.stream import last_lines
from lab.contracts import EMBEDDED, BootableKernel, GuestImage, Progress
from lab.drive.ssh import GuestShell, Program
from lab.errors import DeadlinePassed, Fault, HostTrouble, LabTrouble
from lab.evidence.manifest import Incident, PairRecord
from lab.evidence.names import OUTPUT, PEER_OUTPUT, RECORD
from lab.evidence.seal import sealed
from lab.evidence.selftest import SelftestRecord
from lab.host.interrupt import held_back
from lab.pair.blame import Watch, account, check_disk, explained
from lab.pair.booted import booted_pair
from lab.pair.ready import ReadyPair, await_canary, connected_pair
from lab.plan.case import STANDARD
from lab.plan.commands import checkpoint_argv
from lab.plan.domain import cmdline
from lab.plan.limits import Limits
from lab.plan.names import digest
from lab.plan.nics import NICS, NicProfile
from lab.plan.selftests import (
    GUEST_DISK,
    GUEST_HOME,
    GUEST_ROOT,
    LINK_DEV,
    Selftest,
    command_in_guest,
    endpoint_environment,
    lacking,
)
from lab.provision.hypervisor import Hypervisor
from lab.provision.pair import PairRequest
from lab.provision.sound import unsound
from lab.selftests.build import build, cases_of, pack
from lab.selftests.find import Chosen
from lab.selftests.source import SourceTree
from lab.trial.attempt import may_be_damaged
from lab.trial.facts import host_record, kernel_record
from lab.units import Deadline, utc_now, wait_until

LISTEN_LIMIT = timedelta(seconds=40)
LAST_WORDS_LIMIT = timedelta(seconds=20)
"""For the receiver's numbers, once the sender has ended."""

_KEY = GUEST_HOME / ".ssh/id"
SSH = f"""#!/bin/sh
# What remote_ssh.py calls, with the SSH client that the guests have.
[ "$1" = -q ] && shift
exec dbclient -i {_KEY} "$@"
"""
SCP = """#!/bin/sh
# scp FILE HOST:FILE, as remote_ssh.py deploys its helpers.
exec ssh "${2%%:*}" "cat > '${2#*:}' && chmod $(stat -c %a "$1") '${2#*:}'" < "$1"
"""
TOOLS = {"ssh": SSH, "scp": SCP}


@dataclass(frozen=True)
class SelftestPlan:
    """What all selftests of one session share. `seconds` overrides the deadline of every test; 0 does not."""

    folder: Path
    sockets: Path
    source: SourceTree
    headers: Path
    kernel: BootableKernel
    image: GuestImage
    accelerator: str
    nic: NicProfile
    seconds: int = 0
    limits: Limits = field(default_factory=Limits)
    accelerator_why: str = ""

    def profile(self, test: Selftest) -> NicProfile:
        return self.nic if test.pair else NICS["loopback"]


def run_selftest(hypervisor: Hypervisor, plan: SelftestPlan, chosen: Chosen, progress: Progress) -> Path:
    """Run one test; its bundle's folder. Raises HostTrouble for a source that the table of selftests does not fit."""
    attempt = _Attempt(hypervisor, plan, chosen, progress, BundleWriter(plan.folder / chosen.test.id))
    started, began = utc_now(), time.monotonic()
    cases = cases_of(chosen.test, chosen.collection)
    try:
        attempt.run()
    except (KeyboardInterrupt, SystemExit):
        attempt.interrupted()
        raise
    finally:
        with held_back():
            attempt.finish(cases=cases, started=started, seconds=round(time.monotonic() - began, 1))
    return attempt.bundle.root


@dataclass
class _Attempt:
    """One test under way, and what has been learnt of it so far."""

    hypervisor: Hypervisor
    plan: SelftestPlan
    chosen: Chosen
    progress: Progress
    bundle: BundleWriter
    learnt: dict[str, Any] = field(default_factory=dict)
    incidents: list[Incident] = field(default_factory=list)
    note: str = ""
    _collected: bool = False

    @property
    def test(self) -> Selftest:
        return self.chosen.test

    @property
    def request(self) -> PairRequest:
        plan = self.plan
        pair = digest("selftest", str(plan.folder), self.test.name)
        return PairRequest(
            pair,
            plan.profile(self.test),
            STANDARD,
            plan.kernel,
            plan.image,
            plan.accelerator,
            plan.folder / "pairs" / pair,
            plan.sockets / "s",
            plan.limits,
        )

    def run(self) -> None:
        """Build, boot, run. What goes wrong is learnt, not raised."""
        self.learnt["built"] = build(self.chosen, self.plan.source, self.plan.headers, self._tell)
        if self.learnt["built"]:
            return
        try:
            check_disk(self.plan.folder)
            archive = pack(self.chosen, self.plan.source, TOOLS)
            with booted_pair(self.hypervisor, self.request, self._tell, made=connected_pair) as pair, self._under(pair):
                self._bookend(pair, "baseline")
                self._unpack(pair, archive)
                self.learnt["skip"] = _unmet(pair.receiver, self.test)
                self.learnt["lacking"] = lacking(_asked(self.chosen), _config(pair.receiver))
                if not self.learnt["skip"]:
                    before = _taints(pair)
                    self._prepare(pair)
                    self._run_in(pair)
                    # a kernel that the test has killed, or hung, does not answer
                    self.learnt["tainted"] = {role: (before[role], after) for role, after in _taints(pair).items()}
                self._bookend(pair, "after")
        except LabTrouble as exc:
            self._note(*explained(Fault("host" if isinstance(exc, HostTrouble) else "boot", "", str(exc)), exc.seen))
        self._note(*self._damaged_files())

    def interrupted(self) -> None:
        """The user wants no more of it."""
        self._note(Fault("interrupted", "", "interrupted by the user"))

    def finish(self, **fields: Any) -> None:  # noqa: ANN401 - fields of the record
        """The captures and the record into the bundle."""
        plan, request, nic = self.plan, self.request, self.plan.profile(self.test)
        if not self._collected:
            copy(request.captures, from_power_on(request.captures), self.bundle)
        record = SelftestRecord(
            test=self.test.name,
            kernel=kernel_record(plan.kernel),
            host=host_record(self.hypervisor, plan.accelerator, EMBEDDED, plan.image, plan.accelerator_why),
            pair=PairRecord(
                id=request.id,
                shape=request.shape.name,
                receiver_mib=request.shape.receiver_mib,
                sender_mib=request.shape.sender_mib,
                runs_before=0,
                cmdline=cmdline(request.id, "receiver", nic),
                note=self.note,
            ),
            nic=nic.name,
            accelerator=plan.accelerator,
            source=str(plan.source.root),
            source_version=plan.source.version,
            floor=nic.floor,
            incidents=tuple(self.incidents),
            reproduce=shlex.join(
                [
                    "lab",
                    "selftest",
                    self.test.name,
                    "--kernel",
                    plan.kernel.asked or plan.kernel.name,
                    "--nic",
                    plan.nic.name,
                ]
            ),
            files=self.bundle.files(RECORD),
            **self.learnt,
            **fields,
        )
        self.bundle.add(RECORD, sealed(record))

    # -- in the guests --------------------------------------------------------------------------------------------

    @contextmanager
    def _under(self, pair: ReadyPair) -> Iterator[None]:
        """Trouble with running guests becomes incidents while they can still be asked, and what they said is kept.

        Telemetry is kept from here on: a guest's clock is compared with the host's over the same steps.
        """
        marks, began, self.note = from_here(pair.captures, first=True), time.monotonic(), pair.note
        try:
            yield
        except LabTrouble as exc:
            self.learnt["drive"] = round(time.monotonic() - began, 3)
            self._note(*account(exc, tuple(pair.pair.guests.values()), self.plan.limits, pair.troubles))
        else:
            self.learnt["drive"] = round(time.monotonic() - began, 3)
            self._note(*pair.troubles())
        finally:
            with held_back():
                copy(pair.captures, marks, self.bundle)
                self._collected = True

    def _bookend(self, pair: ReadyPair, name: str) -> None:
        """A checkpoint of each guest that leaves a canary in its log: what is between two of them was heard."""
        token = f"{digest('selftest', str(self.plan.folder), self.test.name, length=12)}-{name}"
        argv = checkpoint_argv(name, pages=False, canary=token)
        for role, shell in pair.shells.items():
            line = shell.check(list(argv), seconds=self.plan.limits.answer.total_seconds())
            with self.bundle.path(f"{role}/checkpoints.jsonl").open("ab") as file:
                file.write(line)
        for guest in pair.pair.guests.values():
            with suppress(DeadlinePassed):  # a rule finds that out
                await_canary(guest, token)

    def _damaged_files(self) -> Iterator[Fault]:
        """As for a run: after trouble that damage explains, all that guests boot from is read anew."""
        if may_be_damaged(self.incidents):
            for text in unsound(self.plan.kernel, self.plan.image, None, anew=True):
                yield Fault("damaged", "", text)

    def _unpack(self, pair: ReadyPair, archive: bytes) -> None:
        self._tell("copying the test")
        for shell in pair.shells.values():
            shell.check(["mkdir", "-p", str(GUEST_ROOT), str(GUEST_HOME / ".ssh")])
            shell.check(["tar", "-x", "-z", "-C", str(GUEST_ROOT)], seconds=60, stdin=archive)

    def _prepare(self, pair: ReadyPair) -> None:
        if self.test.disk:
            # losetup apart from mount, which holds the loop device open for writing while it mounts: the kernel refuses
            # that without CONFIG_BLK_DEV_WRITE_MOUNTED.
            disk = GUEST_ROOT / "disk.ext2"
            script = f"mkdir -p {GUEST_DISK} && mount $(losetup -f --show {disk}) {GUEST_DISK}"
            pair.receiver.check(["sh", "-c", script])
        if self._endpoints:
            _introduce(pair)

    @property
    def _endpoints(self) -> bool:
        """Whether the test drives the other end by itself."""
        return self.test.pair and not self.test.peer

    def _run_in(self, pair: ReadyPair) -> None:
        test, addresses = self.test, pair.pair.addresses
        environment = endpoint_environment(addresses, LINK_DEV) if self._endpoints else {}
        argv = command_in_guest(test, test.argv, environment, addresses)
        seconds = self.plan.seconds or test.seconds
        deadline = Deadline.after(f"{test.name} (it had {seconds} s)", timedelta(seconds=seconds))
        self.learnt["argv"] = argv
        self._tell(f"running, {seconds} s at most")
        program = pair.receiver.start(test.name, argv, self.bundle.path(OUTPUT))
        try:
            if test.peer:
                self._run_peer(pair, program, deadline)
            else:
                self._await(pair, program, deadline)
        except DeadlinePassed as exc:
            self.learnt["timed_out"] = exc.message
        self.learnt["status"] = program.status

    def _await(self, pair: ReadyPair, program: Program, deadline: Deadline) -> None:
        """To its end. Raises DeadlinePassed, and GuestLost for a guest that died or fell silent."""
        watch = Watch(self.plan.limits)

        def ended() -> tuple[bool | None, object]:
            watch.check(pair.pair.guests.values())
            pair.check_floods()
            return (True if program.ended else None), _last_line(program.stdout)

        wait_until(ended, deadline=deadline)

    def _run_peer(self, pair: ReadyPair, program: Program, deadline: Deadline) -> None:
        _await_listener(pair.receiver, program, self.test.port)
        argv = command_in_guest(self.test, self.test.peer, {}, pair.pair.addresses)
        self.learnt["peer_argv"] = argv
        peer = pair.sender.start(f"{self.test.name}'s peer", argv, self.bundle.path(PEER_OUTPUT))
        self._await(pair, peer, deadline)
        self.learnt["peer_status"] = peer.status

        def spoken() -> tuple[bool | None, object]:
            text = program.stdout.read_text(errors="replace")
            return (True if all(re.search(e.pattern, text, re.MULTILINE) for e in self.test.expects) else None), text

        wait_until(spoken, deadline=Deadline.after("what the receiver has to say", LAST_WORDS_LIMIT))

    # -- words ----------------------------------------------------------------------------------------------------

    def _tell(self, what: str) -> None:
        self.progress(f"{self.test.name}: {what}")

    def _note(self, *faults: Fault) -> None:
        """Make incidents of them."""
        self.incidents += [Incident(kind=f.kind, guest=f.guest, detail=f.detail, t=utc_now()) for f in faults]


def _unmet(shell: GuestShell, test: Selftest) -> str:
    """What this guest lacks, with the kernel options that give it; "" when it has all that the test needs."""
    lacking = [need for need in test.needs if shell.run(["sh", "-c", need.probe], seconds=20).status]
    return "; ".join(f"this kernel has no {need.what} ({need.options})" for need in lacking)


def _asked(chosen: Chosen) -> str:
    path = chosen.collection.folder / "config"
    return path.read_text() if path.is_file() else ""


def _config(shell: GuestShell) -> str:
    """The kernel's own word on its options; "" from one that keeps none."""
    return shell.run(["zcat", "/proc/config.gz"], seconds=20).stdout.decode(errors="replace")


def _taints(pair: ReadyPair) -> dict[str, int]:
    return {role: int(shell.check(["cat", "/proc/sys/kernel/tainted"])) for role, shell in pair.shells.items()}


def _introduce(pair: ReadyPair) -> None:
    """Let the receiver in to the sender by SSH: a key that is made here, and dies with the pair.

    The guests' root is read-only, so the sender's list of keys is replaced by mounting another one over it.
    """
    made = pair.receiver.check(["dropbearkey", "-t", "ed25519", "-f", str(_KEY)]).decode()
    public = next(line for line in made.splitlines() if line.startswith("ssh-ed25519 "))
    known = f"{pair.pair.addresses['sender'].v4} {' '.join(pair.pair.sender.signals.hostkey.split()[:2])}\n"
    pair.receiver.check(["sh", "-c", f"cat > {GUEST_HOME}/.ssh/known_hosts"], stdin=known.encode())
    keys = "/root/.ssh/authorized_keys"
    script = f"umask 077; cat {keys} - > {GUEST_HOME}/keys && mount --bind {GUEST_HOME}/keys {keys}"
    pair.sender.check(["sh", "-c", script], stdin=f"{public}\n".encode())


def _await_listener(shell: GuestShell, program: Program, port: int) -> None:
    """Nobody announces a listening socket. Raises DeadlinePassed."""

    def listening() -> tuple[bool | None, object]:
        found = shell.check(["ss", "-Htln", f"sport = :{port}"]).strip()
        return (True if found or program.ended else None), _last_line(program.stdout)

    wait_until(
        listening, deadline=Deadline.after(f"a listener on port {port}", LISTEN_LIMIT), pause=timedelta(seconds=0.2)
    )


def _last_line(path: Path) -> str:
    lines = last_lines(path, 1)
    return lines[-1].decode(errors="replace")[:200] if lines else "(it said nothing)"
