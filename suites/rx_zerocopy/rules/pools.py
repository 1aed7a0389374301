# SPDX-License-Identifier: GPL-2.0-only
"""What a driver's page pool says of pages that were mapped: which of them left it, and which went back to it.

`__page_pool_put_page()` of net/core/page_pool.c looks at the reference count when a packet is freed: at 1 the page goes
back to the pool, else it leaves it for good, and `recycle_released_refcnt` counts it.
"""

from __future__ import annotations

from collections.abc import Iterable

from lab.evidence.memory import baseline
from lab.evidence.model import Evidence, Ledger, Sample
from lab.units import PAGE_SIZE, mib
from lab.verdict.case import Case, rule
from lab.verdict.measure import at_sample, enough_held, failed, passed, unclear, verdict_line
from lab.verdict.model import Finding
from suites.rx_zerocopy.rules.bills import CHECKPOINTS, state_of
from suites.rx_zerocopy.rules.claims import STRAY_PAGES
from suites.rx_zerocopy.rules.exercised import took_delivered

LINK = "lab"
"""What the names of interfaces of the link begin with."""

LEFT, RING, TURNED_AWAY = "recycle_released_refcnt", "recycle_ring", "recycle_ring_full"
"""Pages that left the pool because somebody else had them too, that went back to its ring, and that found it full."""

ENOUGH = 3 * STRAY_PAGES
"""Pages that must have gone back to the pool after they had been mapped: what stays charged then is no noise."""


def _count(sample: Sample, name: str) -> int | None:
    """A number of the link's page pools together; None where one of them, or the kernel, does not tell it."""
    told = [pool.counts.get(name) for pool in (sample.pools or {}).values() if pool.netdev.startswith(LINK)]
    known = [count for count in told if count is not None]
    return sum(known) if told and len(known) == len(told) and not sample.pools_left_out else None


def _grown(name: str, since: Sample, now: Sample) -> int | None:
    """Growth of a counter; None where it was not told, and where it fell, as that of a pool that is new does."""
    before, after = _count(since, name), _count(now, name)
    return None if before is None or after is None or after < before else after - before


def _no_pool(sample: Sample) -> str:
    """Why a checkpoint tells nothing of the link's page pool."""
    if sample.pools is None:
        return "no page pool here: this kernel tells of none (before 6.8)"
    if not any(pool.netdev.startswith(LINK) for pool in sample.pools.values()):
        return "no page pool here: the driver of the link takes its pages from elsewhere"
    return (
        "the link's page pool does not tell all: no CONFIG_PAGE_POOL_STATS, too many pools, or another pool than before"
    )


# -- pool-release ----------------------------------------------------------------------------------------------------


@rule("released")
def released(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """The pool counts as released with a raised reference count each page that the client keeps, and no other."""
    start, held, last = baseline(evidence), evidence.receiver.checkpoint("held"), ledger.last
    if start is None or held is None or last is None or last.t != held.t:
        return [unclear("released", "no checkpoint `baseline` or `held`", CHECKPOINTS)]
    left, inflight = _grown(LEFT, start, held), _count(held, "inflight")
    if left is None:
        return [unclear("released", _no_pool(held), at_sample(held))]
    kept = last.held // PAGE_SIZE
    message = (
        f"{ledger.client} keeps {kept} pages by its own count of page frames, and {left} pages left the page pool "
        f"because somebody else had them too; it has {inflight} pages out"
    )
    return [(passed if left == kept else failed)("released", message, at_sample(held))]


def pinned_from_a_pool(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """Enough was pinned, of what a page pool had delivered, and nothing of it is in the page tables any more."""
    yield from took_delivered(evidence, ledger)
    held = evidence.receiver.checkpoint("held")
    event = state_of(evidence, ledger.client, held.t) if held else None
    if held is None or event is None:
        return
    if _count(held, LEFT) is None:
        yield unclear("exercised", _no_pool(held), at_sample(held))
        return
    pinned, mapped, wanted = event.count("pinned"), event.count("mapped_now"), enough_held(evidence, ledger.client)
    message = f"{mib(pinned)} were pinned, {mib(wanted)} are needed, and {mib(mapped)} still mapped"
    yield (passed if pinned >= wanted and not mapped else unclear)("exercised", message, at_sample(held))


# -- recycled-charge -------------------------------------------------------------------------------------------------


@rule("recycled")
def recycled(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """No page that went back to the pool is charged to the cgroup of who had it mapped."""
    sample, back = evidence.receiver.checkpoint("removed"), _gone_back(evidence, ledger.client)
    if sample is None or sample.pages is None or sample.pages.offline is None or back is None:
        why = _no_pool(sample) if sample and back is None else "no checkpoint at which the cgroup was gone"
        return [unclear("recycled", why, at_sample(sample) if sample else CHECKPOINTS)]
    charged = sample.pages.offline
    message = (
        f"{back} pages went back to the page pool after {ledger.client} had unmapped them, and {charged} pages are "
        f"charged to the cgroup that it had, which is gone; up to {STRAY_PAGES} are noise"
    )
    return [(passed if charged <= STRAY_PAGES else failed)("recycled", message, at_sample(sample))]


def _gone_back(evidence: Evidence, name: str) -> int | None:
    """Pages that the client had mapped and that did not leave the pool when their packets were freed."""
    start, sample = baseline(evidence), evidence.receiver.checkpoint("released")
    event = state_of(evidence, name, sample.t) if sample else None
    left = _grown(LEFT, start, sample) if start and sample else None
    return None if event is None or left is None else event.count("mapped") // PAGE_SIZE - left


def went_back(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """Enough pages were unmapped before their packets were freed, and the pool's ring had room for all of these."""
    held, sample = (evidence.receiver.checkpoint(name) for name in ("held", "released"))
    if held is None or sample is None:
        yield unclear("exercised", "no checkpoint `held` or `released`", CHECKPOINTS)
        return
    back, ring, away = (
        _gone_back(evidence, ledger.client),
        _grown(RING, held, sample),
        _grown(TURNED_AWAY, held, sample),
    )
    if back is None or ring is None or away is None:
        yield unclear("exercised", _no_pool(sample), verdict_line(evidence, ledger))
        return
    message = (
        f"{back} pages were unmapped before their packets were freed, {ENOUGH} are needed; then the pool's ring took "
        f"{ring} pages and had no room for {away}"
    )
    yield (passed if back >= ENOUGH and ring >= back and not away else unclear)("exercised", message, at_sample(sample))
