# SPDX-License-Identifier: GPL-2.0-only
"""What is planned of a case, whatever its experiment: clients, the shape of its pair, how long it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NewType

from lab.plan.names import Family, Role, digest
from lab.plan.nics import NicProfile

Checkpoint = NewType("Checkpoint", str)
"""The name of a moment at which the guests count everything; a value, so that a wrong spelling is found early."""

BASELINE, HELD, RELEASED, END, AFTER = map(Checkpoint, ("baseline", "held", "released", "end", "after"))
"""Those that every experiment has, or may have: before the clients, when they hold what they took, when they let go,
when they have ended, and when their cgroups are gone."""

Counter = NewType("Counter", str)
"""The name of a number in a client's own lines."""


@dataclass(frozen=True)
class Line:
    """A number of bytes in a client's lines that is shown beside what it holds and is charged for.

    drawn  in the curve as well; two at most can be told apart
    """

    name: Counter
    meaning: str
    drawn: bool = False


@dataclass(frozen=True)
class Group:
    """A cgroup of a case beside its clients' own: to hold theirs, or for one of their processes to go to.

    within  the one that it lies in, None for the one that all of a run's lie in
    limit   its memory.max, None for none
    high    its memory.high, None for none
    """

    name: str
    within: Group | None = None
    limit: int | None = None
    high: int | None = None

    @property
    def path(self) -> str:
        """Below the cgroup of all."""
        return f"{self.within.path}/{self.name}" if self.within else self.name


@dataclass(frozen=True)
class ClientSpec:
    """One traffic client in its own memcg, and the stream between it and its peer. An experiment may add to it.

    behaviour  what it does with its stream, as its program calls that
    limit      memory.max of its cgroup in bytes, None for no limit
    deliver    bytes that are offered to it, or that it offers; 0 means until the stream breaks
    rate       bytes/s that are offered at most; 0 means as fast as the link goes
    ring       bytes of anonymous memory that a copying client reuses; 0 keeps everything
    rcvbuf     SO_RCVBUF of each socket; the kernel lets twice as much queue. 0 leaves it to the kernel
    leave      bytes at the end of each socket's stream that it does not take
    most       bytes that it keeps when it takes no more; 0 for no such bound
    unkillable the OOM killer may not take it, so its limit has to hold by refusing
    lowered    what memory.max is set to while it runs, None for no change
    within     where its cgroup lies, None for beside those of the other clients
    accepts_in where another process accepts its connections and hands them over (SCM_RIGHTS); None: it does so itself
    races_in   where the processes are that drive a race between what may become of its pages; None: there is none
    shares_in  where another process maps its socket as well, and takes turns with it; None: nobody does
    urgent     bytes of each socket's stream after which comes one out of band, which is none of them; 0 for none
    """

    name: str
    behaviour: str
    limit: int | None
    deliver: int
    sockets: int = 1
    rate: int = 0
    ring: int = 0
    rcvbuf: int = 0
    verify: bool = False
    leave: int = 0
    most: int = 0
    unkillable: bool = False
    lowered: int | None = None
    within: Group | None = None
    accepts_in: Group | None = None
    races_in: Group | None = None
    shares_in: Group | None = None
    urgent: int = 0

    @property
    def path(self) -> str:
        """Of its cgroup, below the one of all."""
        return f"{self.within.path}/{self.name}" if self.within else self.name


Argv = tuple[str, ...]


@dataclass(frozen=True)
class Preflight:
    """What a pair proves on a few bytes before its first run: that this kernel and NIC do what the cases are about.

    part, whole  counters of the client's last line; their share has to reach `floor` of the NIC
    possible     whether a NIC is expected to reach it with a kernel of that release; one that no kernel is expected to
                 is a negative control of the lab itself
    shown        what the share is of, after the per cent: "of {whole} could be mapped"
    """

    client: ClientSpec
    part: Counter
    whole: Counter
    floor: Callable[[NicProfile], float]
    possible: Callable[[NicProfile, str], bool]
    shown: str


@dataclass(frozen=True)
class Traffic:
    """How an experiment makes its traffic: on which guest its clients are, and by which programs.

    tested     the guest under test: clients and their cgroups are there, and their peers in the other one
    client     command line of a client: it listens on a port, and says so; client, port, seed
    peer       command line of its peer, which connects to it; client, address, port, seed, TCP_MAXSEG of what is sent
               to it by the profile of the NIC (0: the kernel's)
    preflight  what a pair proves before its first run
    counters   numbers in a client's lines that are no less than 0; a line that has another kind there is refused
    programs   the folder of their sources in C, which are built into a layer beside the guest image; what they become
               lies at LAYER (lab.plan.commands). None for programs that the image has
    """

    tested: Role
    client: Callable[[ClientSpec, int, int], Argv]
    peer: Callable[[ClientSpec, str, int, int, int], Argv]
    preflight: Preflight
    counters: frozenset[Counter]
    programs: Path | None

    @property
    def key(self) -> str:
        """The same for experiments that prove the same of a pair, and so may share it."""
        spec = self.preflight.client
        return digest(self.tested, *self.client(spec, 0, 0), *self.peer(spec, "", 0, 0, 0))


@dataclass(frozen=True)
class Shape:
    """Memory of the two guests, in MiB, and vCPUs of the receiver; the sender has one.

    pairs    how many such pairs a run has at once: two where a reference kernel runs beside the one under test
    counted  the QEMU of the guest under test counts the instructions it executes
    bare     nobody has proved that its guests deliver traffic, and they serve one run alone
    """

    name: str
    receiver_mib: int
    sender_mib: int
    pairs: int = 1
    counted: bool = False
    bare: bool = False
    receiver_vcpus: int = 1

    def vcpus(self, role: Role) -> int:
        """Of one guest."""
        return self.receiver_vcpus if role == "receiver" else 1


STANDARD = Shape("standard", 768, 256)
BARE = Shape("bare", STANDARD.receiver_mib, STANDARD.sender_mib, bare=True)


@dataclass(frozen=True)
class CaseSpec:
    """What is planned of one case.

    claim      the sentence that it tests, quoted;  source  where that was said
    how        what is done, in a sentence
    subject    the client whose ledger is judged
    seconds    expected guest time; only orders the work
    traffic    how its experiment makes traffic; None for a case without clients
    compares   the same is done, in turns, on a pair with the reference kernel; measured, so nothing is promised
    lines      what the ledger shows of its client's own numbers
    alone      one guest without a link will do, so that is what it gets, whatever NIC is asked for
    proved     it says nothing unless its pair's preflight came to the floor of the NIC
    family     over which its streams go in every run, None for either in turn
    groups     cgroups beside its clients' own, the outermost first; names are no client's
    """

    name: str
    claim: str
    source: str
    how: str
    clients: tuple[ClientSpec, ...]
    subject: str
    traffic: Traffic | None = None
    shape: Shape = STANDARD
    seconds: int = 5
    compares: bool = False
    lines: tuple[Line, ...] = ()
    alone: bool = False
    proved: bool = True
    family: Family | None = None
    groups: tuple[Group, ...] = ()

    @property
    def tested(self) -> Role:
        """The guest under test."""
        return self.traffic.tested if self.traffic else "receiver"
