# SPDX-License-Identifier: GPL-2.0-only
"""What several rules ask of the evidence, and the tolerances they all share. Bytes and guest seconds."""

from __future__ import annotations

from dataclasses import dataclass

from lab.evidence.ledger import bracket, client_record, counted, keeps, kills_seen, living, state_at
from lab.evidence.model import (
    CgroupSample,
    ClientEvent,
    Console,
    Evidence,
    GuestEvidence,
    Ledger,
    OomKill,
    ProgramLog,
    Sample,
)
from lab.units import MIB, PAGE_SIZE, mib
from lab.verdict.model import Finding, Word

BATCH_PAGES = 64
"""MEMCG_CHARGE_BATCH of include/linux/memcontrol.h: each CPU may hold that many pages of charge back."""

ENOMEM = 12
STALE_S = 1.0
"""Seconds by which the console's clock and CLOCK_MONOTONIC may differ; both start at boot."""


def batch(evidence: Evidence) -> int:
    """Bytes by which a memcg counter may be off because it is batched per CPU."""
    return BATCH_PAGES * PAGE_SIZE * evidence.manifest.pair.vcpus


def tolerance(evidence: Evidence, size: int) -> int:
    """How far charge and use of `size` bytes may lie apart: the batch, 5 %, and 1 MiB."""
    return batch(evidence) + size // 20 + MIB


def agreement(size: int) -> int:
    """How far two witnesses of `size` bytes may lie apart: socket queues and driver rings move by a few MiB."""
    return max(8 * MIB, size // 10)


def settled(size: int) -> int:
    """How much of `size` bytes may still be missing when all of it is said to be back."""
    return max(8 * MIB, size // 20)


def limit_of(evidence: Evidence, name: str) -> int | None:
    """memory.max the client was started with, in bytes."""
    record = client_record(evidence, name)
    return record.limit if record else None


def deliver_of(evidence: Evidence, name: str) -> int:
    """Bytes that it was to be sent, or to send."""
    record = client_record(evidence, name)
    return record.deliver if record else 0


def enough_held(evidence: Evidence, name: str) -> int:
    """What a client must hold to have done what its case says: a third of what it was offered, for the least mappable
    profile that cases run on, e1000, maps 45 %."""
    return max(MIB, deliver_of(evidence, name) // 3)


def at(log: ProgramLog, event: ClientEvent | None) -> str:
    return f"{log.path}:{event.line}" if event else log.path


def at_sample(sample: Sample | None, role: str = "receiver") -> str:
    """Pointer to a telemetry line or a checkpoint; to that guest's telemetry where there is none."""
    if sample is None:
        return f"{role}/telemetry.jsonl"
    return f"{sample.role}/{'checkpoints' if sample.name else 'telemetry'}.jsonl:{sample.line}"


def checkpoints_of(evidence: Evidence) -> str:
    """Pointer to the checkpoints of the guest under test."""
    return f"{evidence.tested.role}/checkpoints.jsonl"


def at_kill(kill: OomKill, console: Console) -> str:
    return f"{console.path}:{kill.line}"


def run_kills(guest: GuestEvidence) -> tuple[OomKill, ...]:
    """The OOM kills of this run. The console reaches back to power-on, and a pair may have served runs before.

    A kill without a time stamp counts; `complete` compares the number with the kernel's own counter.
    """
    start = guest.samples[0].t if guest.samples else 0.0
    return tuple(k for k in guest.console.kills if k.t is None or k.t >= start - STALE_S)


def pid_of(evidence: Evidence, name: str) -> int:
    log = evidence.clients.get(name)
    ready = log.last("ready") if log else None
    return ready.count("pid") if ready else 0


def owner(evidence: Evidence, kill: OomKill) -> str:
    """The client a kill hit, "" when it hit something else. By cgroup, or by pid where the report was lost."""
    names = [c.name for c in evidence.manifest.clients]
    by_path = next((n for n in names if kill.task_memcg == f"/lab/{n}"), "")
    by_pid = next((n for n in names if kill.pid and kill.pid == pid_of(evidence, n)), "")
    return by_path or by_pid


def killed(evidence: Evidence, name: str) -> OomKill | None:
    """The first OOM kill of a client in this run, as the console of the guest under test tells it."""
    return next((k for k in run_kills(evidence.tested) if owner(evidence, k) == name), None)


@dataclass(frozen=True)
class AtKill:
    """A client when its own cgroup's limit had the OOM killer take it: no sample need have seen that moment. Bytes.

    held      what it kept by its own last line, which it writes before it takes more
    resident  what its page tables held, by the kernel's report: its own few pages, and what it had mapped or copied
    charged   what its cgroup was charged for, by the report; of any kind
    """

    kill: OomKill
    event: ClientEvent
    held: int
    resident: int
    charged: int


def at_limit_kill(evidence: Evidence, name: str) -> AtKill | None:
    """None for a client that was not killed so, or whose report the console lacks."""
    kill, log = killed(evidence, name), evidence.clients.get(name)
    event = next((e for e in reversed(counted(log)) if e), None) if log else None
    if kill is None or event is None or kill.usage is None or kill.oom_memcg != f"/lab/{name}":
        return None
    resident = sum(size or 0 for size in (kill.anon, kill.file, kill.shmem))
    return AtKill(kill, event, keeps(event), resident, kill.usage)


def most_held(evidence: Evidence, ledger: Ledger) -> int:
    """The most that the ledger's client is known to have held."""
    killed_at = at_limit_kill(evidence, ledger.client)
    return max(ledger.last.held if ledger.last else 0, killed_at.held if killed_at else 0)


def witness(evidence: Evidence, ledger: Ledger) -> str:
    """What tells how much the ledger's client held and was charged for, for a finding to say."""
    last, held = ledger.last, evidence.tested.checkpoint("held")
    if (kill := at_limit_kill(evidence, ledger.client)) and (last is None or last.held <= kill.held):
        return "by its last line, and the kernel's report of its OOM kill"
    now = moment(evidence, ledger)
    if last is None or now is None:
        return "by nobody"
    if held and now.checkpoint:
        return "at the checkpoint `held`"
    if now.low is now.high:
        return f"by the sample of {now.low.t:.1f} s, when it was at rest"
    return f"between the samples of {now.low.t:.1f} and {now.high.t:.1f} s"


def refused(evidence: Evidence, name: str) -> ClientEvent | None:
    """The line on which a client says that its cgroup's limit refused it memory.

    ENOMEM far from the limit has other reasons (address space, number of mappings), and proves nothing.
    """
    log, limit = evidence.clients.get(name), limit_of(evidence, name)
    if limit is None or peak(evidence, name) < limit * 3 // 4:
        return None
    events = log.events if log else ()
    return next((e for e in events if e.event == "holding" and e.fields.get("errno") in (ENOMEM, "ENOMEM")), None)


@dataclass(frozen=True)
class Between:
    """What is known of a number of bytes: it is no less than `low` and no more than `high`."""

    low: int
    high: int

    def word(self, low: int, high: int) -> Word:
        """PASS when all that it may be lies within these bounds, FAIL when none of it does, else ERROR."""
        if low <= self.low and self.high <= high:
            return Word.PASS
        return Word.FAIL if self.high < low or high < self.low else Word.ERROR

    def __str__(self) -> str:
        low, high = mib(self.low), mib(self.high)
        return low if low == high else f"{low} to {high}"


def own_charge(evidence: Evidence, name: str) -> Between:
    """What the client was charged before the first byte came: its process, its sockets. Bytes.

    Upper bound: the last sample before the first byte, less what it says is queued and mapped; and never more than the
    client is ever said to have in memory of a named kind. Lower bound: the sample before that one, and the named kinds
    of the last one. Two bounds, because a sample has the time at which it was begun: on a slow kernel it is read when
    the first bytes are there, and memory.stat can be two seconds older (FLUSH_TIME of mm/memcontrol.c).
    """
    log = evidence.clients.get(name)
    first = next((e.t for e in log.events if e.count("delivered")), 0.0) if log else 0.0
    waiting = log.last("accepted") if log else None
    ready = waiting.t if waiting else first
    seen = [s for s in evidence.tested.samples if name in s.cgroups]
    samples = [s for s in seen if s.t <= min(ready, first)]
    if not samples:
        return Between(0, mem_total(evidence))  # nobody looked, and nothing is known
    last, before = samples[-1], samples[-2:-1]
    group = last.cgroups[name]
    queued = max(group.stat.get("sock", 0), *(tcp_growth(last, s) for s in before), 0)
    came = group.stat.get("file_mapped", 0) + queued
    low = max(min(_named(group), group.current), *(s.cgroups[name].current for s in before), 0)
    most = [group.current - came]
    if "kernel" in group.stat:  # since v5.18, commit a8c49af3be5f; its parts alone would not be all
        most.append(max(_named(s.cgroups[name]) for s in seen) + batch(evidence))
    return Between(low, max(low, min(most)))


def _named(group: CgroupSample) -> int:
    """Bytes of a cgroup that memory.stat names and that are no network pages, unless a kernel bills those that way."""
    return sum(group.stat.get(kind, 0) for kind in ("anon", "file", "kernel"))


RING_CALLS = ("io_uring", "IORING_REGISTER_BUFFERS_UPDATE")
RING_REFUSALS = (1, 14, 38, 95)  # EPERM, EFAULT, ENOSYS, EOPNOTSUPP


def not_allowed(evidence: Evidence, name: str) -> ClientEvent | None:
    """The line on which a client says that the kernel has no io_uring for it, or takes none of its mapped pages.

    Only before anything was kept that way: an errno that comes later has another reason.
    """
    log = evidence.clients.get(name)
    last = log.last("holding") if log else None
    if last is None or last.count("pinned") or last.fields.get("call") not in RING_CALLS:
        return None
    return last if last.fields.get("errno") in RING_REFUSALS else None


def sockets_of(evidence: Evidence, name: str) -> int:
    """How many connections a client accepted."""
    log = evidence.clients.get(name)
    accepted = log.last("accepted") if log else None
    return accepted.count("sockets") if accepted else 0


def most_charged(evidence: Evidence, name: str) -> int:
    """The largest memory.current seen of a client's cgroup, in telemetry and checkpoints."""
    seen = (*evidence.tested.samples, *evidence.tested.checkpoints)
    return max((s.cgroups[name].current for s in seen if name in s.cgroups), default=0)


def peak(evidence: Evidence, name: str) -> int:
    """The kernel's own high-water mark, or the largest sample where it keeps none."""
    seen = (*evidence.tested.samples, *evidence.tested.checkpoints)
    marks = (s.cgroups[name].peak or 0 for s in seen if name in s.cgroups)
    return max((most_charged(evidence, name), *marks))


def stopped(evidence: Evidence, name: str) -> str:
    """How the kernel stopped a client from taking more, "" when it did not."""
    limit = limit_of(evidence, name)
    if killed(evidence, name):
        return "killed by the OOM killer"
    if refused(evidence, name):
        return "refused with ENOMEM"
    if limit is not None and peak(evidence, name) >= limit * 9 // 10:
        return "charged up to its limit"
    return ""


def mem_total(evidence: Evidence) -> int:
    """MemTotal of the guest under test; no honest counter exceeds it."""
    return max((s.meminfo["MemTotal"] for s in evidence.tested.samples), default=0)


@dataclass(frozen=True)
class Moment:
    """A time at which the kernel's side is known: one checkpoint (low is high), or the two samples around it."""

    t: float
    low: Sample
    high: Sample

    @property
    def checkpoint(self) -> bool:
        return bool(self.low.name)


def moment(evidence: Evidence, ledger: Ledger) -> Moment | None:
    """When the ledger's last line was taken, with the samples it rests on."""
    if ledger.last is None:
        return None
    held = evidence.tested.checkpoint("held")
    if held and held.t == ledger.last.t and not kills_seen(held, ledger.client):
        return Moment(held.t, held, held)
    around = bracket(living(evidence, ledger.client), ledger.last.t)
    return Moment(ledger.last.t, *around) if around else None


def states(evidence: Evidence, now: Moment) -> tuple[ClientEvent, ...]:
    """What every client said of itself last. One that is done, or that an OOM kill ended, keeps nothing any more."""
    alive = (log for name, log in evidence.clients.items() if not kills_seen(now.low, name))
    found = (state_at(log, now.t) for log in alive)
    return tuple(e for e in found if e and e.event != "done")


def dying(evidence: Evidence, now: Moment) -> tuple[ClientEvent, ...]:
    """What clients said last that an OOM kill has been counted for and that are still in their cgroup.

    The kernel counts and reports a kill before the process has seen it (__oom_kill_process of mm/oom_kill.c): until it
    has left, it may keep all of that, or nothing.
    """
    killed = ((log, now.low.cgroups.get(name)) for name, log in evidence.clients.items() if kills_seen(now.low, name))
    found = (state_at(log, now.t) for log, group in killed if group and group.procs)
    return tuple(e for e in found if e and e.event != "done")


def tcp_growth(sample: Sample, start: Sample) -> int:
    """Growth of what TCP says is in its queues, in bytes at true size."""
    return (sample.net.get("tcp_mem_pages", 0) - start.net.get("tcp_mem_pages", 0)) * PAGE_SIZE


def queue_charge(now: Moment, start: Sample, name: str) -> int:
    """Bytes of a cgroup's charge that are for data still in socket queues, which the client does not hold yet.

    No more than memory.stat says is `sock`, and no more than TCP says is queued: a kernel may bill held pages as sock.
    """
    groups = [(s, s.cgroups[name]) for s in (now.low, now.high) if name in s.cgroups]
    return min((max(0, min(g.stat.get("sock", 0), tcp_growth(s, start))) for s, g in groups), default=0)


def verdict_line(evidence: Evidence, ledger: Ledger) -> str:
    """Pointer to the line a verdict on the ledger rests on."""
    held = evidence.tested.checkpoint("held")
    if ledger.last and held and held.t == ledger.last.t:
        return at_sample(held)
    log = evidence.clients.get(ledger.client)
    return at(log, state_at(log, ledger.last.t) if ledger.last else None) if log else f"clients/{ledger.client}.jsonl"


def passed(rule: str, message: str, pointer: str) -> Finding:
    return Finding(rule, Word.PASS, message, pointer)


def failed(rule: str, message: str, pointer: str) -> Finding:
    return Finding(rule, Word.FAIL, message, pointer)


def unclear(rule: str, message: str, pointer: str) -> Finding:
    """The case did not exercise, or the evidence does not show, what a verdict needs."""
    return Finding(rule, Word.ERROR, message, pointer)


def skipped(rule: str, message: str, pointer: str) -> Finding:
    """The kernel does not let the case try what it is about."""
    return Finding(rule, Word.SKIP, message, pointer)


def missed(rule: str, message: str, pointer: str) -> Finding:
    return Finding(rule, Word.MISS, message, pointer)
