# SPDX-License-Identifier: GPL-2.0-only
"""What a parsed bundle is: frozen records, no behaviour beyond look-ups. Sizes in bytes, times in guest seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from lab.plan.case import Line

if TYPE_CHECKING:
    from lab.evidence.manifest import Manifest
    from lab.evidence.timing import Timing


@dataclass(frozen=True)
class CgroupSample:
    """Counters of one memcg at one moment. `max` and `peak` are None where there is none.

    above  the name of the one that it lies in, "" for the cgroup that all of a run's lie in
    """

    ino: int
    current: int
    peak: int | None
    max: int | None
    procs: int
    events: Mapping[str, int]
    stat: Mapping[str, int]
    above: str = ""


@dataclass(frozen=True)
class PageCounts:
    """/proc/kpage* summed up, in pages; see docs/formats.md. `offline`: None in bundles from before it was counted."""

    plain: int
    free: int
    mapped_uncharged: int
    charged: Mapping[int, int]
    offline: int | None = None


@dataclass(frozen=True)
class Kmsg:
    """What the kernel's log has of a canary that the lab put there.

    seq    the kernel's number of its record
    shown  lines that the console owes since the canary of the checkpoint before; None where the log has lost some
    """

    canary: str
    seq: int
    shown: int | None


@dataclass(frozen=True)
class PagePool:
    """A page pool of the network at one moment: whose it is ("" for a device that has gone), and its numbers.

    counts  `inflight` (pages), `inflight_mem` (bytes) and counters of pages by the names of netdev.yaml, with `_` for
            `-`; those alone that the kernel told: without CONFIG_PAGE_POOL_STATS it has no counters
    """

    netdev: str
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Sample:
    """One line of telemetry. `name`, `pages`, `parent`, `kmsg` and `pools` are set on checkpoints only.

    parent   the cgroup above those of the clients
    pools    page pools by the kernel's number; None where the kernel has nothing that tells of them, and in bundles
             from before it was asked
    pools_left_out  how many more there were than a checkpoint has room for
    tainted  /proc/sys/kernel/tainted; None in bundles from before it was told
    role     the guest that took it
    """

    t: float
    seq: int
    meminfo: Mapping[str, int]
    vmstat: Mapping[str, int]
    net: Mapping[str, int]
    pcp_pages: int
    dying: int
    cgroups: Mapping[str, CgroupSample]
    name: str = ""
    pages: PageCounts | None = None
    line: int = 0
    tainted: int | None = None
    parent: CgroupSample | None = None
    kmsg: Kmsg | None = None
    pools: Mapping[int, PagePool] | None = None
    pools_left_out: int = 0
    role: str = "receiver"


@dataclass(frozen=True)
class ClientEvent:
    """One line of a client or of its peer. `fields` holds everything but `t` and `event`."""

    t: float
    event: str
    fields: Mapping[str, int | str | float]
    line: int

    def count(self, key: str) -> int:
        """A counter; 0 where the line does not carry it."""
        value = self.fields.get(key, 0)
        return int(value) if isinstance(value, int | float) else 0


@dataclass(frozen=True)
class ProgramLog:
    """The output of one traffic program. `truncated` when a line could not be parsed; `path` inside the bundle."""

    name: str
    path: str
    events: tuple[ClientEvent, ...]
    truncated: bool

    def last(self, *events: str) -> ClientEvent | None:
        """The last line of one of these events (of any, when none is named)."""
        return next((e for e in reversed(self.events) if not events or e.event in events), None)


class Constraint(StrEnum):
    """Why the OOM killer was called."""

    MEMCG = "memcg"
    GLOBAL = "global"


@dataclass(frozen=True)
class OomKill:
    """One OOM kill as the console tells it. cgroups are paths such as `/lab/abuser`, "" where the report was lost.

    t is the time stamp of the line in seconds since boot, None where it had none. The rest is in bytes, None where the
    console does not say: `usage` and `limit` of the memcg that ran out, then what the victim held by its page tables.
    """

    constraint: Constraint
    oom_memcg: str
    task_memcg: str
    task: str
    pid: int
    line: int
    t: float | None = None
    usage: int | None = None
    limit: int | None = None
    total_vm: int | None = None
    anon: int | None = None
    file: int | None = None
    shmem: int | None = None
    page_tables: int | None = None


class Grade(StrEnum):
    """How sure a console's words are of a fault of the kernel."""

    FAULT = "fault"
    UNEXPLAINED = "unexplained"  # a stack trace or register dump that no known report accounts for
    TOLD = "told"  # worth a word, and no fault by itself: an allocation that failed, say


@dataclass(frozen=True)
class Splat:
    """Something on the console that a healthy kernel does not print. `fatal` when the kernel died of it."""

    kind: str
    title: str
    fatal: bool
    line: int
    t: float | None = None
    grade: Grade = Grade.FAULT


@dataclass(frozen=True)
class Canary:
    """A line that the lab itself wrote to /dev/kmsg, as the console shows it: `lab-canary: TOKEN`.

    shown  stamped lines between it and the canary before it, or the start of the file; neither canary counts
    """

    token: str
    line: int
    shown: int


@dataclass(frozen=True)
class Console:
    """A parsed serial console.

    boots  how often a kernel introduced itself (`Linux version`)
    bound  the bound that the file exceeds, as a sentence; "" when all of it was read
    """

    path: str
    kills: tuple[OomKill, ...]
    splats: tuple[Splat, ...]
    lines: int
    boots: int = 0
    canaries: tuple[Canary, ...] = ()
    bound: str = ""


@dataclass(frozen=True)
class Count:
    """Instructions a guest had executed when it executed a mark: COUNT_BEGIN, COUNT_END of count-mark.h.

    t is the host's CLOCK_MONOTONIC in seconds.
    """

    mark: int
    instructions: int
    t: float
    line: int


@dataclass(frozen=True)
class GuestEvidence:
    """What one guest left behind. `gap` is the longest silence of its telemetry (s), `missing` the samples lost."""

    role: str
    console: Console
    samples: tuple[Sample, ...]
    checkpoints: tuple[Sample, ...]
    gap: float
    missing: int
    truncated: bool

    def checkpoint(self, name: str) -> Sample | None:
        return next((c for c in self.checkpoints if c.name == name), None)


@dataclass(frozen=True)
class Evidence:
    """A bundle, parsed. `problems` lists files that are absent, altered or unreadable, as sentences.

    altered    paths of files whose bytes are not those the manifest vouches for
    peers      what the programs in the other guest said, by the name of the client each of them serves
    counts     what the QEMU of the guest under test counted; None where a line of it is not what it should be
    reference  the bundle of the kernel this one is compared with
    first      what the pair's first run began with; None in that run, and in bundles from before it was kept
    timing     where the wall time went; None in bundles from before it was written, and where it cannot be read
    files      all of its bytes by path, for what its experiment alone keeps there
    own        that, as the experiment's own reader parsed it; None where it has none
    """

    manifest: Manifest
    receiver: GuestEvidence
    sender: GuestEvidence | None
    clients: Mapping[str, ProgramLog]
    peers: Mapping[str, ProgramLog]
    preflight: ProgramLog | None
    problems: tuple[str, ...]
    altered: frozenset[str] = frozenset()
    counts: tuple[Count, ...] | None = ()
    reference: Evidence | None = None
    timing: Timing | None = None
    first: Sample | None = None
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    own: object | None = None

    @property
    def tested(self) -> GuestEvidence:
        """The guest under test: clients and their cgroups are there. On `loopback` there is only one guest."""
        return self.sender if self.manifest.tested == "sender" and self.sender else self.receiver

    @property
    def beside(self) -> GuestEvidence | None:
        """The other guest, None where there is none."""
        return self.receiver if self.tested is self.sender else self.sender


@dataclass(frozen=True)
class LedgerPoint:
    """One moment of one client's ledger, bytes.

    counts    what its last line said of the numbers that its experiment shows, by name
    held      what the client keeps from everybody else, by its own count
    charged   growth of its memcg's memory.current since its cgroup was made
    gone      fall of the guest's free memory that no counter of /proc/meminfo explains
    moving    how much `held` changed between the client's neighbouring lines, and between the samples that the point
              rests on; 0 once it has settled. The two sides are not read in the same instant, so what moves is not
              known more closely than this
    """

    t: float
    counts: Mapping[str, int]
    held: int
    charged: int
    gone: int
    moving: int = 0

    @property
    def escape(self) -> int:
        return self.held - self.charged


@dataclass(frozen=True)
class Ledger:
    """The time series of a run for its subject client. `last` is the line judged: the moment the client held most.

    lines  which of the client's own numbers are shown beside it
    """

    client: str
    limit: int | None
    points: tuple[LedgerPoint, ...]
    last: LedgerPoint | None
    marks: tuple[tuple[float, str], ...]
    lines: tuple[Line, ...] = ()
