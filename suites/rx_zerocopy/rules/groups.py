# SPDX-License-Identifier: GPL-2.0-only
"""Rules about cgroups beside a client's own: the one a socket or a process came from, and those above."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator

from lab.evidence.ledger import keeps
from lab.evidence.memory import baseline, gone
from lab.evidence.model import ClientEvent, Evidence, Ledger, Sample
from lab.units import MIB, PAGE_SIZE, mib
from lab.verdict.case import Case, rule
from lab.verdict.measure import (
    Between,
    agreement,
    at,
    at_sample,
    batch,
    deliver_of,
    enough_held,
    failed,
    passed,
    tcp_growth,
    unclear,
)
from lab.verdict.model import Finding
from suites.rx_zerocopy.rules.bills import CHECKPOINTS, SHARP, bills, growth, state_of
from suites.rx_zerocopy.rules.exercised import Proof, took_delivered
from suites.rx_zerocopy.rules.limits import MAPPING

# -- moved -----------------------------------------------------------------------------------------------------------

PASSED, MOVER, ELSEWHERE, NEXT = "passed", "mover", "elsewhere", "next"

OWN = 16 * PAGE_SIZE
"""What a cgroup is charged for of itself when no process of ours begins in it."""


@rule("one-pays")
def one_pays(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """Who maps a page pays for it, wherever the socket or the process came from, and nobody else does."""
    held, then = evidence.receiver.checkpoint("held"), _left(evidence)
    if held is None or baseline(evidence) is None or then is None:
        return [unclear("one-pays", "no checkpoint `held`, or the client was not seen to move", CHECKPOINTS)]
    lacking = [name for name in (PASSED, ELSEWHERE, MOVER, NEXT) if name not in held.cgroups]
    if lacking:
        return [unclear("one-pays", f"no cgroup {', '.join(lacking)} at `held`", at_sample(held))]
    now = state_of(evidence, MOVER, held.t)
    since = (keeps(now) if now else 0) - keeps(then)
    return [
        *bills("one-pays", evidence, [PASSED], held),
        _pays("one-pays", evidence, held, ELSEWHERE, 0, _charge(held, ELSEWHERE)),
        _pays("one-pays", evidence, held, MOVER, keeps(then), growth(evidence, MOVER, held)),
        _pays("one-pays", evidence, held, NEXT, since, _charge(held, NEXT)),
    ]


def _charge(sample: Sample, name: str) -> Between:
    """What a cgroup is charged for in which no client begins, without what it is charged for of itself."""
    current = sample.cgroups[name].current
    return Between(current - OWN, current)


def _pays(rule_name: str, evidence: Evidence, held: Sample, name: str, due: int, charged: Between) -> Finding:
    slack = batch(evidence) + SHARP
    queues = max(0, min(held.cgroups[name].stat.get("sock", 0), tcp_growth(held, baseline(evidence) or held)))
    message = (
        f"at `{held.name}` /lab/{name} is charged {charged} for the {mib(due)} that its processes mapped; "
        f"{mib(slack)} are tolerated"
    )
    return Finding(rule_name, charged.word(due - slack, due + slack + queues), message, at_sample(held))


def _left(evidence: Evidence) -> ClientEvent | None:
    """What the client said when it had moved."""
    log = evidence.clients.get(MOVER)
    return log.last("left") if log else None


def moved_on(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """moved: both hold enough, and the one that moved held some of it before and mapped some of it after."""
    held, then = evidence.receiver.checkpoint("held"), _left(evidence)
    for name in (PASSED, MOVER):
        event = state_of(evidence, name, held.t) if held else None
        kept, wanted = (keeps(event) if event else 0), enough_held(evidence, name)
        message = f"{name} held {mib(kept)}, {mib(wanted)} are needed"
        yield (passed if kept >= wanted else unclear)("exercised", message, at_sample(held) if held else CHECKPOINTS)
    if held is None or then is None:
        yield unclear("exercised", f"{MOVER} was not seen to move", f"clients/{MOVER}.jsonl")
        return
    event = state_of(evidence, MOVER, held.t)
    before, after = keeps(then), (keeps(event) if event else 0) - keeps(then)
    wanted = deliver_of(evidence, MOVER) // 6
    message = (
        f"{MOVER} held {mib(before)} when it moved and mapped {mib(after)} after that; {mib(wanted)} each are needed"
    )
    enough = min(before, after) >= wanted
    yield (passed if enough else unclear)("exercised", message, at(evidence.clients[MOVER], then))


# -- shared ----------------------------------------------------------------------------------------------------------

PARTNER = "partner"
"""The cgroup of the process that maps the client's socket as well, and the client's count of what that one holds."""

EXECED = "execed"
"""The checkpoint at which that process has called execve(), and what the client says when it has."""


@rule("each-pays")
def each_pays(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """Of two processes that map one socket each pays for what it maps itself, and with execve() that ends for one."""
    start, found = baseline(evidence), []
    for name in ("held", EXECED):
        now = evidence.receiver.checkpoint(name)
        event = state_of(evidence, ledger.client, now.t) if now else None
        if now is None or start is None or event is None or not {ledger.client, PARTNER} <= now.cgroups.keys():
            found.append(unclear("each-pays", f"no checkpoint `{name}` with both cgroups in it", CHECKPOINTS))
            continue
        theirs, out = event.count(PARTNER), gone(now, start)
        ours = keeps(event) - theirs
        found.append(_pays("each-pays", evidence, now, ledger.client, ours, growth(evidence, ledger.client, now)))
        found.append(_pays("each-pays", evidence, now, PARTNER, theirs, _charge(now, PARTNER)))
        if name == EXECED:
            message = f"at `{name}` {mib(ours + theirs)} are held, and {mib(out)} of memory are gone"
            back = out <= ours + theirs + agreement(ours + theirs)
            found.append((passed if back else failed)("each-pays", message, at_sample(now)))
    return found


def shared_by_two(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """shared: both held a sixth of the stream at least, and the other process lived on when it had called execve()."""
    log, wanted = evidence.clients[ledger.client], deliver_of(evidence, ledger.client) // 6
    done = log.last(EXECED)
    for name in ("held", EXECED):
        now = evidence.receiver.checkpoint(name)
        event = state_of(evidence, ledger.client, now.t) if now else None
        if now is None or event is None or done is None:
            yield unclear("exercised", f"no checkpoint `{name}`, or no execve()", CHECKPOINTS)
            continue
        theirs = event.count(PARTNER)
        least = keeps(event) - theirs if name == EXECED else min(keeps(event) - theirs, theirs)
        procs = now.cgroups[PARTNER].procs if PARTNER in now.cgroups else 0
        after = (done.t <= now.t) == (name == EXECED)
        message = (
            f"at `{name}` {ledger.client} held {mib(keeps(event) - theirs)} and its partner {mib(theirs)}, "
            f"{mib(wanted)} are needed; {procs} processes in /lab/{PARTNER}"
        )
        enough = least >= wanted and procs == 1 and after and (name == "held" or not theirs)
        yield (passed if enough else unclear)("exercised", message, at_sample(now))


# -- heir ------------------------------------------------------------------------------------------------------------


@rule("inherited")
def inherited(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """The charge stays while a child has what its parent mapped, and ends with the child."""
    start, held = baseline(evidence), ledger.last.held if ledger.last else 0
    found = []
    for name, due in (("outlived", held), ("released", 0)):
        sample = evidence.receiver.checkpoint(name)
        group = sample.cgroups.get(ledger.client) if sample else None
        if sample is None or group is None or start is None:
            found.append(unclear("inherited", f"no checkpoint `{name}` with /lab/{ledger.client} in it", CHECKPOINTS))
            continue
        charged, out, slack = group.current, gone(sample, start), batch(evidence) + SHARP
        message = f"at `{name}` {mib(due)} are left, {mib(charged)} are charged and {mib(out)} of memory are gone"
        same = abs(out - due) <= agreement(due)
        right = due - slack <= charged <= due + slack
        word = unclear if due and not same else passed if right and same else failed
        found.append(word("inherited", message, at_sample(sample)))
    return found


def outlived(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """heir: the parent held enough and ended, a child was left, and then nobody."""
    yield from took_delivered(evidence, ledger)
    done = next((e for e in evidence.clients[ledger.client].events if e.event == "done"), None)
    for name, procs in (("outlived", 1), ("released", 0)):
        sample = evidence.receiver.checkpoint(name)
        group = sample.cgroups.get(ledger.client) if sample else None
        there, ended = group.procs if group else -1, bool(sample and done and done.t <= sample.t)
        message = f"{there} processes in /lab/{ledger.client} at `{name}`, {procs} should be; "
        message += "the parent had ended" if ended else "the parent had not ended"
        yield (passed if there == procs and ended else unclear)("exercised", message, at_sample(sample))


# -- hierarchy -------------------------------------------------------------------------------------------------------

TOP = "top"
BELOW = ("left", "right")

BESIDE_PAGES = 32
"""Pages that a cgroup is charged for itself beside what those in it are: their own structures (percpu, slab)."""


@rule("levels")
def levels(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """Each cgroup that holds others is charged for all that they are charged, and for hardly anything else."""
    held = evidence.receiver.checkpoint("held")
    found = list(_levels(evidence, held)) if held else []
    return found or [unclear("levels", "no cgroup that holds others was seen at `held`", CHECKPOINTS)]


def _levels(evidence: Evidence, held: Sample) -> Iterator[Finding]:
    slack, moving = batch(evidence) + BESIDE_PAGES * PAGE_SIZE, _moving(evidence, held)
    for name in sorted({group.above for group in held.cgroups.values()} & held.cgroups.keys()):
        own = held.cgroups[name].current
        below = sum(group.current for group in held.cgroups.values() if group.above == name)
        message = f"/lab/…/{name} is charged {mib(own)}, those in it {mib(below)}"
        good = below - moving - PAGE_SIZE <= own <= below + moving + slack
        yield (passed if good else failed)("levels", message, at_sample(held))


def _moving(evidence: Evidence, held: Sample) -> int:
    """How much the charge of all cgroups changed between the samples around: not all is read in one instant."""
    samples = evidence.receiver.samples
    around = [s for s in (next((s for s in reversed(samples) if s.t <= held.t), None), held) if s]
    around += [s for s in samples if s.t >= held.t][:1]
    sums = [_innermost(s) for s in around]
    return max(sums) - min(sums)


def _innermost(sample: Sample) -> int:
    """What the cgroups are charged that hold no other."""
    holders = {group.above for group in sample.cgroups.values()}
    return sum(group.current for name, group in sample.cgroups.items() if name not in holders)


@rule("limit-above")
def limit_above(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """What is charged to the cgroup with the limit, but for queued data, stays within it, whoever below it maps."""
    held, start = evidence.receiver.checkpoint("held"), baseline(evidence)
    group = held.cgroups.get(TOP) if held else None
    if held is None or start is None or group is None or group.max is None:
        return [unclear("limit-above", f"no cgroup {TOP} with a limit at `held`", CHECKPOINTS)]
    queues = max(group.stat.get("sock", 0), tcp_growth(held, start))
    charged, slack = group.current - queues, batch(evidence) + MIB * len(BELOW)
    message = (
        f"{mib(charged)} charged to /lab/{TOP} but for queues, with a limit of {mib(group.max)} and {mib(slack)} "
        f"tolerated; with queues memory.peak is {mib(group.peak or group.current)}"
    )
    return [(passed if charged <= group.max + slack else failed)("limit-above", message, at_sample(held))]


def tried_the_limit_above(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """hierarchy: who lies below the limit was refused, or held more than it."""
    held = evidence.receiver.checkpoint("held")
    group = held.cgroups.get(TOP) if held else None
    if held is None or group is None or group.max is None:
        return [unclear("exercised", f"no cgroup {TOP} with a limit at `held`", CHECKPOINTS)]
    states = [event for name in BELOW if (event := state_of(evidence, name, held.t))]
    kept, refused = sum(map(keeps, states)), [name for name in BELOW if _refused(evidence, name)]
    message = (
        f"{' and '.join(BELOW)} held {mib(kept)} under a limit of {mib(group.max)}; "
        f"{' and '.join(refused) or 'neither'} was refused more with ENOMEM"
    )
    tried = kept >= group.max or (refused and kept >= group.max // 2)
    apart = next((name for name in evidence.clients if name not in BELOW), "")
    event = state_of(evidence, apart, held.t)
    beside, wanted = (keeps(event) if event else 0), enough_held(evidence, apart)
    return [
        (passed if tried else unclear)("exercised", message, at_sample(held)),
        (passed if beside >= wanted else unclear)(
            "exercised", f"{apart} held {mib(beside)}, {mib(wanted)} are needed", at_sample(held)
        ),
    ]


def _refused(evidence: Evidence, name: str) -> bool:
    log = evidence.clients.get(name)
    last = log.last("holding") if log else None
    return last is not None and last.fields.get("errno") == errno.ENOMEM and last.fields.get("call") == MAPPING


# -- over-high -------------------------------------------------------------------------------------------------------

HARD = ("max", "oom", "oom_kill")
"""What memory.events counts where a hard limit was met."""


@rule("throttled")
def throttled(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """The cgroup with the memory.high was told of it, and nothing worse was done to anybody in it."""
    held = evidence.receiver.checkpoint("held")
    group = held.cgroups.get(TOP) if held else None
    if held is None or group is None or "high" not in group.events:
        return [unclear("throttled", f"no memory.events of /lab/{TOP} at `held`", CHECKPOINTS)]
    high, worse = group.events["high"], {name: n for name in HARD if (n := group.events.get(name, 0))}
    message = f"/lab/{TOP} was above memory.high {high} times by memory.events, " + (
        "and met a hard limit: " + ", ".join(f"{name} {n}" for name, n in worse.items()) if worse else "and no more"
    )
    return [(passed if high and not worse else failed)("throttled", message, at_sample(held))]


def past_high(high: int) -> Proof:
    """over-high: at `held` the client held more than memory.high of the cgroup above it."""

    def asked(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
        held = evidence.receiver.checkpoint("held")
        event = state_of(evidence, ledger.client, held.t) if held else None
        kept = keeps(event) if event else 0
        message = f"{ledger.client} held {mib(kept)}, and memory.high of /lab/{TOP} is {mib(high)}"
        yield (passed if kept > high else unclear)("exercised", message, at_sample(held) if held else CHECKPOINTS)

    return asked
