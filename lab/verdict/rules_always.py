# SPDX-License-Identifier: GPL-2.0-only
"""Rules that hold in every case, whatever it claims: no kernel may break them. docs/invariants.md has the table.

Two of them are about the lab's own ears: both consoles were heard from beginning to end. The others are about charges,
and are exact: their tolerances are pages that a healthy kernel keeps, never a share of what was held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lab.evidence.ledger import counted, keeps, state_at
from lab.evidence.memory import baseline, but_cache, gone, unexplained
from lab.evidence.model import Canary, Evidence, GuestEvidence, Ledger, ProgramLog, Sample
from lab.units import MIB, PAGE_SIZE, mib
from lab.verdict import ground
from lab.verdict.case import Case, rule
from lab.verdict.measure import at_sample, batch, checkpoints_of, failed, passed, unclear
from lab.verdict.model import Finding
from lab.verdict.predict import accounts

BOOKENDS = ("baseline", "after")
"""Checkpoints that leave a canary, at the beginning and at the end of a run."""

TELLS = 2
"""Format of the manifest from which on bundles tell of canaries, taint and the cgroup above the clients'."""

OWN_PAGES, PAGES_EACH = 16, 4
"""Pages that the cgroup above the clients may be charged for by itself, beside a CPU's batch: slab and per-CPU memory
that it inherits from those that were removed (reparent_objcgs() of mm/memcontrol.c). Seen on 6.12: two at first, six
more after four clients, and a batch of 16 after `refused` until the next run."""

NOT_MAPPED = 2
"""Pages mapped and charged to nobody that may come and go with any process (vDSO data); none was ever seen to."""

IN_HAND = 32
"""Pages of the batch that a client has mapped and that may be charged next (32 in net/ipv4/tcp.c); four were seen."""

LEFT_OVER = 8 * MIB
"""Memory that may be missing when every client has gone: as much as a pair may lose and still serve the next run."""


# -- the consoles were heard -----------------------------------------------------------------------------------------


@rule("heard")
def heard(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """Both consoles show the canaries that the lab left in the kernels' logs, and the lines between them."""
    if evidence.manifest.format < TELLS:
        return [passed("heard", "canaries were not kept yet when this was run", "manifest.json")]
    found = [f for guest in ground.of_run(evidence).guests for f in heard_of(guest)]
    pointer = evidence.tested.console.path
    return found or [passed("heard", "both consoles show every canary, and the lines between", pointer)]


def heard_of(guest: GuestEvidence) -> Iterator[Finding]:
    """What speaks against a guest's console having been heard."""
    pointer = f"{guest.role}/checkpoints.jsonl"
    if any(s.tainted is None for s in (*guest.samples, *guest.checkpoints)):
        yield unclear("heard", f"a sample of the {guest.role} does not tell its taint", f"{guest.role}/telemetry.jsonl")
    ends = [guest.checkpoint(name) for name in BOOKENDS]
    for name, sample in zip(BOOKENDS, ends, strict=True):
        if sample is None or sample.kmsg is None:
            yield unclear("heard", f"no canary was left in the {guest.role}'s log at `{name}`", pointer)
        elif not _shown(guest, sample.kmsg.canary):
            message = f"the {guest.role}'s console does not show the canary of `{name}`: it was not heard"
            yield unclear("heard", message, guest.console.path)
    first, last = (s.kmsg if s else None for s in ends)
    if first is None or last is None or last.shown is None:
        return
    there = _lines_between(guest.console.canaries, first.canary, last.canary)
    if there is not None and there < last.shown:
        message = f"the {guest.role}'s log has {last.shown} lines for the console between the canaries, {there} came"
        yield unclear("heard", message, guest.console.path)


def _shown(guest: GuestEvidence, token: str) -> bool:
    return any(canary.token == token for canary in guest.console.canaries)


def _lines_between(canaries: tuple[Canary, ...], first: str, last: str) -> int | None:
    """Lines from the last canary with one token to the last with the other; None where they are not in that order."""
    tokens = [canary.token for canary in canaries]
    if first not in tokens or last not in tokens:
        return None
    begin = len(tokens) - 1 - tokens[::-1].index(first)
    end = len(tokens) - 1 - tokens[::-1].index(last)
    return sum(canary.shown for canary in canaries[begin + 1 : end + 1]) if begin < end else None


# -- charges balance -------------------------------------------------------------------------------------------------


@rule("balanced")
def balanced(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """What is charged is held by somebody, is charged on every level, and is gone when nobody holds anything."""
    start = baseline(evidence)
    if start is None:
        return [unclear("balanced", "no checkpoint `baseline`", checkpoints_of(evidence))]
    found = [f for now in evidence.tested.checkpoints for f in _at(evidence, case, now, start)]
    found += [*_gone_at_the_end(evidence, start), *_left_above(evidence, start), *_since_first(evidence)]
    if any(f.word.value != "PASS" for f in found):
        return [f for f in found if f.word.value != "PASS"]
    return found or [passed("balanced", "charges balance at every checkpoint", checkpoints_of(evidence))]


def _at(evidence: Evidence, case: Case, now: Sample, start: Sample) -> Iterator[Finding]:
    yield from _emptied(evidence, now, start)
    yield from _adds_up(evidence, now, start)
    kernel = evidence.manifest.kernel
    if accounts(case, kernel.design, evidence.manifest.nic, kernel.release):
        yield from _all_billed(evidence, now, start)


def _emptied(evidence: Evidence, now: Sample, start: Sample) -> Iterator[Finding]:
    """A cgroup without a process is charged for no more than what somebody else still keeps from being free.

    A CPU may hold a batch of charge back until the cgroup is removed, and slab objects outlive their process a little.
    A socket that still has something to send outlives it as well: the heads of its packets are charged as `sock` and
    lie in slab, which has a name, so that they are not out.
    """
    slack, out = batch(evidence) + OWN_PAGES * PAGE_SIZE, max(0, gone(now, start))
    slab = max(0, now.meminfo["Slab"] - start.meminfo["Slab"])
    holders = {group.above for group in now.cgroups.values()}
    for name, group in now.cgroups.items():
        charge = but_cache(group) - min(group.stat.get("sock", 0), slab)
        if not group.procs and name not in holders and charge > out + slack:
            message = (
                f"/lab/{name} has no process and is charged {mib(charge)} at `{now.name}`, page cache apart; "
                f"{mib(out)} of memory are out that it could be for, {mib(slack)} are tolerated"
            )
            yield failed("balanced", message, at_sample(now))


def _adds_up(evidence: Evidence, now: Sample, start: Sample) -> Iterator[Finding]:
    """What the clients' cgroups are charged, the one above is charged too; page_counter_try_charge() goes all the way
    up. What is more than that is charged to removed cgroups, or to the one above alone."""
    if now.parent is None or start.parent is None:
        return
    clients = _below(now)
    moving, own = _moving(evidence, now), _own(evidence)
    surplus = now.parent.current - clients
    message = (
        f"the clients' cgroups are charged {mib(clients)} at `{now.name}`, the one above {mib(now.parent.current)}"
    )
    if surplus < -moving - PAGE_SIZE:
        yield failed("balanced", f"{message}: some of it is not charged above", at_sample(now))
    removed = now.dying > start.dying or len(now.cgroups) < _started(evidence, now)
    if not removed and surplus - start.parent.current > moving + own:
        yield failed("balanced", f"{message}: {mib(surplus)} are charged to it alone", at_sample(now))


def _moving(evidence: Evidence, now: Sample) -> int:
    """How much the clients' charge changed between the samples around a checkpoint: not all is read in one instant."""
    samples = evidence.tested.samples
    before = next((s for s in reversed(samples) if s.t <= now.t), None)
    after = next((s for s in samples if s.t >= now.t), None)
    ends = [_below(s) for s in (before, now, after) if s is not None]
    return max(ends) - min(ends)


def _below(sample: Sample) -> int:
    """What the cgroups right below the one of all are charged; what lies in one of them is in its charge."""
    return sum(group.current for group in sample.cgroups.values() if not group.above)


def _started(evidence: Evidence, now: Sample) -> int:
    """Clients that had been started by then, and so have, or had, a cgroup."""
    return sum(1 for log in evidence.clients.values() if log.events and log.events[0].t <= now.t)


def _own(evidence: Evidence) -> int:
    return batch(evidence) + (OWN_PAGES + PAGES_EACH * len(evidence.manifest.clients)) * PAGE_SIZE


def _all_billed(evidence: Evidence, now: Sample, start: Sample) -> Iterator[Finding]:
    """Where the design charges every page that it maps, no page is mapped and charged to nobody.

    A design may charge a batch just after it has mapped it: then a client that is at it has some in hand.
    """
    if now.pages is None or start.pages is None:
        return
    grown = now.pages.mapped_uncharged - start.pages.mapped_uncharged
    if grown > NOT_MAPPED + IN_HAND * sum(_keeps_more(log, now.t) for log in evidence.clients.values()):
        message = f"{grown} pages are mapped and charged to nobody at `{now.name}`; this design charges every page"
        yield failed("balanced", message, at_sample(now))


def _keeps_more(log: ProgramLog, t: float) -> bool:
    """Whether a client was at it: what it says next after that moment is that it keeps more than it said before."""
    before, then = state_at(log, t), next((event for event in counted(log) if event.t > t), None)
    return before is not None and then is not None and keeps(then) > keeps(before)


def _gone_at_the_end(evidence: Evidence, start: Sample) -> Iterator[Finding]:
    """Every process of every client has ended: the memory they kept is back."""
    end = evidence.tested.checkpoint("end")
    if end is None:
        return  # `complete` says so
    missing = gone(end, start)
    message = f"{mib(missing)} of memory are gone when every client has ended, {mib(LEFT_OVER)} are tolerated"
    yield (passed if missing <= LEFT_OVER else failed)("balanced", message, at_sample(end))


def _left_above(evidence: Evidence, start: Sample) -> Iterator[Finding]:
    """The clients' cgroups are removed: what they were charged is gone from the one above."""
    after, allowed = evidence.tested.checkpoint("after"), _own(evidence)
    if evidence.manifest.format < TELLS:
        return
    if after is None or after.parent is None or start.parent is None:
        yield unclear(
            "balanced",
            "nobody read the cgroup above the clients' when they were gone",
            at_sample(after, evidence.tested.role),
        )
        return
    left = but_cache(after.parent) - but_cache(start.parent)
    message = (
        f"{left // PAGE_SIZE} pages more than before are charged above when the clients' cgroups are gone, "
        f"{allowed // PAGE_SIZE} are tolerated"
    )
    yield (passed if left <= allowed else failed)("balanced", message, at_sample(after))


def _since_first(evidence: Evidence) -> Iterator[Finding]:
    """The same since the pair's first run: a leak too slow for one run adds up over those that share a pair."""
    first, after = evidence.first, evidence.tested.checkpoint("after")
    if evidence.manifest.format < TELLS or not evidence.manifest.pair.runs_before:
        return
    if first is None or first.parent is None or after is None or after.parent is None:
        yield unclear("balanced", "nobody told what the pair's first run began with", "first.jsonl")
        return
    runs, allowed = evidence.manifest.pair.runs_before + 1, _own(evidence)
    charged = but_cache(after.parent) - but_cache(first.parent)
    missing = unexplained(after) - unexplained(first)
    message = (
        f"since the first of {runs} runs of this pair {charged // PAGE_SIZE} pages more are charged and "
        f"{mib(missing)} are gone; {allowed // PAGE_SIZE} and {mib(LEFT_OVER)} are tolerated"
    )
    yield (passed if charged <= allowed and missing <= LEFT_OVER else failed)("balanced", message, at_sample(after))
