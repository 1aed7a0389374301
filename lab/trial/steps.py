# SPDX-License-Identifier: GPL-2.0-only
"""What a suite's script does with a pair, step by step."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from lab.drive.ssh import Program
from lab.errors import DeadlinePassed, HostTrouble
from lab.evidence.memory import is_bare, nothing_stays, unexplained
from lab.evidence.model import Sample
from lab.evidence.names import FIRST
from lab.pair.ready import Stream
from lab.plan.case import AFTER, BASELINE, END, Checkpoint, ClientSpec, Counter, Group
from lab.plan.commands import CGROUPS, FIRST_PORT, cgroup_of, press_argv
from lab.plan.names import peers_folder
from lab.trial.counting import Counting
from lab.trial.life import CLEAN
from lab.units import MIB, Deadline, wait_until

CONTROL = Checkpoint("control")
"""When an ordinary cgroup was made, used and removed."""

DELIVERED = Counter("delivered")

TRICKLE = 4 * MIB


@dataclass
class Steps(Counting):
    """The steps of one run, inside the `with` block of its life."""

    dying_control: int = 0
    _gone_groups: set[str] = field(default_factory=set)

    def start(self, *clients: ClientSpec) -> None:
        """Start these clients of the case (all, when none is given) and the streams that feed them."""
        if not self.streams:
            self.life.require_preflight()
            self._begin()
        for port, spec in enumerate(self.case.clients, start=FIRST_PORT):
            if clients and spec not in clients:
                continue
            with self._step("start", client=spec.name):
                self._start(spec, port)

    def brought(self, name: str) -> bytes:
        """A file that the case's experiment made for it on the host; see `lab.experiments.contract.More`."""
        path = self.life.keeper.plan.brought(self.run.kernel, self.run.case) / name
        try:
            return path.read_bytes()
        except FileNotFoundError as exc:
            raise HostTrouble(f"{path}: what the case needs in guests is not there") from exc

    def listen(self) -> None:
        """Where the lab starts no clients: from here on the guests are heard."""
        self._bookend(BASELINE, pages=False)

    def heard(self) -> None:
        """The end of that."""
        self._bookend(AFTER, pages=False)

    def unpack(self, archive: bytes, folder: str) -> None:
        """A tar archive of what the case brought, into a folder of each guest."""
        with self._step("unpack", folder=folder):
            for shell in self.ready.shells.values():
                argv = ["sh", "-c", 'mkdir -p "$1" && tar -x -z -C "$1"', "sh", folder]
                shell.check(argv, seconds=self.limits.delivery.total_seconds(), stdin=archive)

    def await_end(self, program: Program, deadline: Deadline) -> None:
        """Wait until a program of the case's own has ended."""
        with self._step("run", program=program.name):
            self._watch(program, lambda p: p.ended, deadline)

    def _begin(self) -> None:
        """What there is before the clients. That of a pair's first run is kept for those that come after it."""
        self._bookend(BASELINE)
        first, told = self.ready.captures / FIRST, self.bundle.root / self.tested / "checkpoints.jsonl"
        if not first.exists():
            first.write_bytes(next(line for line in told.read_bytes().splitlines(True) if b'"baseline"' in line))
        self._make_groups()

    def _make_groups(self) -> None:
        """The cgroups of the case in which no client begins. One that holds others hands the controller on to them."""
        holders = {group.within for group in self.case.groups} | {client.within for client in self.case.clients}
        for group in self.case.groups:
            at, bounds = cgroup_of(group.path), {"memory.max": group.limit, "memory.high": group.high}
            made = [f"mkdir {at}", *(f"echo {n} > {at}/{file}" for file, n in bounds.items() if n is not None)]
            made += [f"echo +memory > {at}/cgroup.subtree_control"] * (group in holders)
            with self._step("make cgroup", group=group.path):
                self.ready.tested.check(["sh", "-c", " && ".join(made)])

    def _start(self, spec: ClientSpec, port: int) -> None:
        with self._part("start client", work=True):
            client = self.ready.start_client(spec, port, self.run.seed, self.bundle.root / "clients")
        self._await_seen(spec.name, client)
        folder = self.bundle.root / peers_folder(self.ready.traffic.tested)
        with self._part("start peer", work=True):
            peer = self.ready.start_peer(spec, port, self.run.seed, folder, self.run.family)
        self.streams[spec.name] = Stream(spec, client, peer)
        with self._part("connections", work=True):
            client.wait("connections", lambda p: p.said("accepted"), Deadline.after("connections", self.limits.answer))

    def _await_seen(self, name: str, client: Program) -> None:
        """Wait for a sample of telemetry that shows a client in its cgroup before it is sent anything: with what it is
        charged for of its own, and with its limit. One that is killed soon may be seen no more."""
        since = client.last().get("t", 0.0)
        with self._part("seen by telemetry"):
            self._await_sample(
                f"telemetry of {name}",
                lambda s: s.t > since and name in s.cgroups and s.cgroups[name].procs > 0,
                self.limits.silence,
            )

    def delivered(self, *clients: ClientSpec) -> None:
        """Wait until these clients (all) hold what they were sent, or have ended."""
        deadline = Deadline.after("delivery", self.limits.delivery)
        for name in [client.name for client in clients] or tuple(self.streams):
            with self._step("delivered", client=name):
                self._watch(self.streams[name].client, lambda p: p.said("holding") or p.ended, deadline)

    def flowing(self, who: ClientSpec, *, bytes_more: int, into: Counter = DELIVERED) -> None:
        """Wait until a counter of a client has grown by so many bytes, or the client has all it wants or has ended."""
        name, goal = who.name, self.counter(who, into) + bytes_more
        deadline = Deadline.after(f"{bytes_more} bytes more {into} for {name}", self.limits.delivery)

        def there(client: Program) -> bool:
            return client.count(into) >= goal or client.said("holding") or client.ended

        with self._step("flowing", client=name, bytes_more=bytes_more):
            self._watch(self.streams[name].client, there, deadline)

    def tell_peer(self, who: ClientSpec, command: str) -> None:
        """A line to the standard input of a client's peer, in the words of its program."""
        with self._step("tell peer", client=who.name, command=command):
            self.streams[who.name].peer.tell(command)

    def served(self, *clients: ClientSpec) -> None:
        """Wait until the peers of these clients (all) have ended by themselves: they have what they came for."""
        deadline = Deadline.after("the peers' end", self.limits.delivery)
        for name in [client.name for client in clients] or tuple(self.streams):
            with self._step("served", client=name):
                self._watch(self.streams[name].peer, lambda p: p.ended, deadline)

    def reached(self, who: ClientSpec, key: Counter, least: int) -> None:
        """Give a counter of a client time to come to so much; what it says then is evidence."""
        deadline = Deadline.after(f"{key} of {who.name} at {least}", self.limits.delivery)
        with self._step("reached", client=who.name, counter=key, least=least):
            try:
                self._watch(self.streams[who.name].client, lambda p: p.count(key) >= least or p.ended, deadline)
            except DeadlinePassed as exc:
                self.log.info("not reached", what=str(exc))

    def until_something_gives(self, who: ClientSpec, *, patience: timedelta | None = None) -> None:
        """Wait until the abuser has all it wants, anybody has been killed or has ended, or the abuser gets no further.

        That it gets no further shows after `patience` (`limits.stall`). At the end of memory, the guest's or its own,
        a stream can trickle for minutes: a few MiB in that time then count as no further.
        """
        name, enough = who.name, patience or self.limits.stall
        abuser = self.streams[name].client
        kills = self._kills()
        mark = (-1, time.monotonic())

        def given() -> tuple[str | None, object]:
            nonlocal mark
            self._check_guests()
            taken = abuser.count("delivered")
            if taken - mark[0] > (TRICKLE if self._is_exhausted(name) else 0):
                mark = (taken, time.monotonic())
            ended = [s.spec.name for s in self.streams.values() if s.client.ended]
            if ended:
                return f"{', '.join(ended)} ended", taken
            if self._kills() > kills:
                return "the OOM killer came", taken
            if abuser.said("holding"):
                return f"{name} holds", taken
            stalled = time.monotonic() - mark[1] > enough.total_seconds()
            return (f"{name} gets no further than {taken}" if stalled else None), taken

        with self._step("until something gives", client=name):
            what = wait_until(given, deadline=Deadline.after("something to give", self.limits.delivery))
        self._tell("something gave", what=what)

    def release(self, *clients: ClientSpec) -> None:
        """Have these clients (all that live) drop every reference."""
        living = self._living([client.name for client in clients])
        with self._step("release", clients=" ".join(stream.spec.name for stream in living)):
            for stream in living:
                stream.client.tell("release")
            for stream in living:
                deadline = Deadline.after(f"release by {stream.spec.name}", self.limits.answer)
                self._watch(stream.client, lambda p: p.said("released") or p.ended, deadline)

    def lower_limit(self, who: ClientSpec) -> None:
        """Set a running client's memory.max to what its case says."""
        with self._step("lower limit", client=who.name, bytes=who.lowered):
            self.ready.tested.check(["sh", "-c", f"echo {who.lowered} > {cgroup_of(who.path)}/memory.max"])

    def read_smaps(self, who: ClientSpec) -> None:
        """Have a client read in /proc/self/smaps how much its mappings hold."""
        client = self.streams[who.name].client
        with self._step("smaps", client=who.name):
            client.tell("smaps")
            self._watch(client, lambda p: p.said("smaps") or p.ended, Deadline.after("smaps", self.limits.answer))

    def cut(self, who: ClientSpec, how: str) -> None:
        """Have a client do something to a part of what it has mapped; how, its program says."""
        client = self.streams[who.name].client
        with self._step("cut", client=who.name, how=how):
            client.tell(f"cut {how}")
            done = Deadline.after("cut", self.limits.answer)
            self._watch(client, lambda p: (p.last().get("event"), p.last().get("how")) == ("cut", how) or p.ended, done)

    def leave_heir(self, who: ClientSpec) -> None:
        """Have a client fork a child that keeps what is mapped; then the client itself ends."""
        client = self.streams[who.name].client
        with self._step("heir", client=who.name):
            client.tell("heir")
            client.wait("a child", lambda p: p.said("heir"), Deadline.after("heir", self.limits.answer))
        self._quit(self.streams[who.name])

    def exec_partner(self, who: ClientSpec) -> None:
        """Have the process that shares a client's socket call execve(): it lives on, without what it had mapped."""
        client = self.streams[who.name].client
        with self._step("exec", client=who.name):
            client.tell("exec")
            client.wait("execve()", lambda p: p.said("execed"), Deadline.after("execve()", self.limits.answer))

    def kill_group(self, who: ClientSpec) -> None:
        """End whatever is left in a client's cgroup."""
        with self._step("kill cgroup", client=who.name):
            self._sigkill(who)
        self.settled("nobody there", lambda s: not s.cgroups[who.name].procs)

    def bury(self, who: ClientSpec) -> None:
        """Move a client out of its cgroup and remove the cgroup while the client's pages are out."""
        name = who.name
        client = self.streams[name].client
        with self._step("bury", client=name):
            client.tell("leave /sys/fs/cgroup")
            client.wait("leaving its cgroup", lambda p: p.said("left"), Deadline.after("leave", self.limits.answer))
            self.ready.remove_cgroup(who.path)
        self._gone_groups.add(name)

    def kill(self, who: ClientSpec) -> None:
        """End every process in a client's cgroup with SIGKILL, whatever they hold."""
        client = self.streams[who.name].client
        with self._step("kill", client=who.name):
            self.life.killed.add(who.name)
            self._sigkill(who)
            self._watch(client, lambda p: p.ended, Deadline.after(f"death of {who.name}", self.limits.answer))

    def grow(self, who: ClientSpec, size: int) -> None:
        """Have a client take that many bytes of anonymous memory, or be killed by it."""
        client = self.streams[who.name].client
        with self._step("grow", client=who.name, bytes=size):
            client.tell(f"grow {size}")
            deadline = Deadline.after(f"growth of {who.name}", self.limits.delivery)
            self._watch(client, lambda p: p.said("grown") or p.ended, deadline)

    def move(self, who: ClientSpec, to: Group) -> None:
        """Move a running client to another cgroup of its case; what it holds stays with it."""
        client = self.streams[who.name].client
        with self._step("move", client=who.name, to=to.path):
            client.tell(f"leave {cgroup_of(to.path)}")
            client.wait("moving", lambda p: p.said("left"), Deadline.after("move", self.limits.answer))

    def bury_control(self) -> None:
        """The control of `bury`: a cgroup made, used by an ordinary process and removed."""
        self.life.require_preflight()
        group = f"{CGROUPS}/control"
        enter = f"echo 0 > {group}/cgroup.procs; cat /proc/meminfo > /dev/null"
        with self._step("bury control"):
            self.ready.tested.check(["sh", "-c", f"mkdir {group} && sh -c '{enter}' && rmdir {group}"])
        sample = self.checkpoint(CONTROL)
        self.dying_control = sample.dying if sample else 0

    def _drain(self) -> None:
        """A CPU keeps up to 64 pages charged in advance (memcg_stock_pcp), and the cgroup with them. For one cgroup it
        did until another one had its turn; since f735eebe55f8 (6.16) it does for seven, and where there are few, for
        ever. A memory.high below what is charged drains them (memory_high_write()), and kills nobody."""
        with self._step("drain"):
            self.ready.tested.check(["sh", "-c", f"echo 0 > {CGROUPS}/memory.high; echo max > {CGROUPS}/memory.high"])

    @staticmethod
    def bare(who: ClientSpec) -> Callable[[Sample], bool]:
        """Whether a client that has ended is charged for nothing any more."""
        return lambda sample: is_bare(sample, who.name)

    def is_buried(self, sample: Sample) -> bool:
        """No removed cgroup lingers, and no page is charged to one."""
        return sample.dying <= self.dying_control and not (sample.pages and sample.pages.offline)

    def set_sysctl(self, name: str, value: int) -> None:
        """Set a sysctl on the guest under test. One that it lacks is no trouble: telemetry says what there is."""
        with self._step("sysctl", name=name, value=value):
            result = self.ready.tested.run(["sysctl", "-q", "-w", f"{name}={value}"], seconds=20)
        self._tell("sysctl is set", status=result.status)

    @contextlib.contextmanager
    def sysctl(self, name: str, value: int) -> Iterator[None]:
        """A sysctl of the guest under test has that value inside the block; the next run has the old one."""
        self.life.require_preflight()  # a run that is not tried leaves the pair to the next one as it is
        before = int(self.ready.tested.check(["sysctl", "-n", name]).split()[0])
        self.set_sysctl(name, value)
        yield
        self.set_sysctl(name, before)

    @contextlib.contextmanager
    def pressure(self, size: int, *, until_stall: bool = False) -> Iterator[None]:
        """Anonymous memory of that size is taken, or the kernel has killed its taker; it is given back at the end.

        until_stall  no more is taken than makes an allocation wait for reclaim, and that is kept: nobody is killed
        """
        deadline = Deadline.after("pressure on memory", self.limits.answer)
        with self._step("press", bytes=size):
            argv = press_argv(size, until_stall=until_stall)
            taker = self.ready.tested.start("press", argv, self.bundle.root / self.tested / "press.jsonl")
            self._watch(taker, lambda p: p.said("pressed") or p.ended, deadline)
        yield
        with self._step("end of pressure"):
            taker.close()
            self._watch(taker, lambda p: p.ended, deadline)

    def counter(self, who: ClientSpec, key: Counter) -> int:
        """A counter of a client's last line."""
        return self.streams[who.name].client.count(key)

    def end(self, *, until: Callable[[Sample], bool] = lambda _: True, drained: bool = False) -> None:
        """Clients quit, memory settles; the last checkpoint (see there for `until`); cgroups go.

        drained  before that each CPU gives back what it holds charged in advance, and with it removed cgroups
        """
        self._quit(*self.streams.values())
        if drained:
            self._drain()
        start = self._baseline
        self.settled("memory back", lambda s: start is None or unexplained(s) - unexplained(start) < CLEAN // 2)
        self.checkpoint(END, until=until)
        self._remove_groups(*sorted(self.streams.keys() - self._gone_groups))
        if self.case.groups:
            with self._step("remove cgroups", groups=" ".join(group.path for group in self.case.groups)):
                inner_first = [cgroup_of(group.path) for group in reversed(self.case.groups)]
                self.ready.tested.check(["rmdir", *inner_first])
        self._bookend(AFTER, lambda s: start is None or nothing_stays(s, start), pages=False)

    def depart(self, who: ClientSpec) -> None:
        """A client quits. Its cgroup stays, and so does its peer: what the kernel still has for it is looked at."""
        stream, deadline = self.streams[who.name], Deadline.after("the client's end", self.limits.answer)
        with self._step("depart", client=who.name):
            stream.client.close()
            self._watch(stream.client, lambda p: p.ended, deadline)

    def dismiss(self, who: ClientSpec) -> None:
        """A client that is done quits, and its cgroup goes."""
        self._quit(self.streams[who.name])
        self._remove_groups(who.name)

    # -- helpers of the steps -----------------------------------------------------------------------------------

    def _sigkill(self, who: ClientSpec) -> None:
        """To each process in a client's cgroup, by cgroup.kill (since v5.14)."""
        self.ready.tested.check(["sh", "-c", f"echo 1 > {cgroup_of(who.path)}/cgroup.kill"])

    def _quit(self, *streams: Stream) -> None:
        deadline = Deadline.after("programs to end", self.limits.answer)
        with self._step("quit", clients=" ".join(stream.spec.name for stream in streams)):
            for stream in streams:
                stream.client.close()
            for stream in streams:
                self._watch(stream.client, lambda p: p.ended, deadline)
                stream.peer.close()  # one that waits for a command waits no longer
            for stream in streams:
                self._watch(stream.peer, lambda p: p.ended, deadline)

    def _remove_groups(self, *names: str) -> None:
        with self._step("remove cgroups", clients=" ".join(names)):
            if names:
                self.ready.tested.check(["rmdir", *(cgroup_of(self.streams[name].spec.path) for name in names)])
            self._gone_groups.update(names)

    def _living(self, names: Sequence[str]) -> list[Stream]:
        return [s for n, s in self.streams.items() if (not names or n in names) and not s.client.ended]

    def _kills(self) -> int:
        sample = self._latest()
        return sample.vmstat.get("oom_kill", 0) if sample else 0

    def _is_exhausted(self, name: str) -> bool:
        """Whether the guest has no memory left, or the client's cgroup none of what it may have."""
        sample = self._latest()
        group = sample.cgroups.get(name) if sample else None
        at_limit = group is not None and group.max is not None and group.current > group.max * 9 // 10
        return at_limit or (sample is not None and sample.meminfo["MemFree"] < sample.meminfo["MemTotal"] // 20)
