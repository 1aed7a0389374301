# SPDX-License-Identifier: GPL-2.0-only
"""Rules about what single designs promise: charges in turn, a driver's opt-in, and the network's own page pool."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable

from lab.evidence.ledger import keeps
from lab.evidence.memory import CACHED, USED, baseline, gone, pool_pages, shows
from lab.evidence.model import ClientEvent, Evidence, Ledger, OomKill, Sample
from lab.plan.nics import NICS
from lab.units import MIB, PAGE_SIZE, mib
from lab.verdict.case import Case, rule
from lab.verdict.measure import (
    agreement,
    at_kill,
    at_sample,
    deliver_of,
    enough_held,
    failed,
    passed,
    run_kills,
    settled,
    tolerance,
    unclear,
)
from lab.verdict.model import Finding
from suites.rx_zerocopy.designs import DESIGNS, OPT_IN_SYSCTL
from suites.rx_zerocopy.rules.bills import CHECKPOINTS, bills, growth, state_of

TURNS = ("a1", "b1", "a2", "held", "both")
"""Checkpoints of `cross-memcg`; `held` is taken while b2 holds."""

SETTING = "accounted_only"
PRESSER = "lab-press"


# -- cross-memcg -----------------------------------------------------------------------------------------------------


@rule("own-bill")
def own_bill(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """In every turn each client is charged for what it holds then: no less, and nothing for anybody else."""
    lacking = [name for name in TURNS if evidence.receiver.checkpoint(name) is None]
    if lacking or baseline(evidence) is None:
        return [unclear("own-bill", f"no checkpoint {', '.join(lacking) or 'baseline'}", CHECKPOINTS)]
    turns = (evidence.receiver.checkpoint(name) for name in TURNS)
    return [f for turn in turns if turn for f in bills("own-bill", evidence, [c.name for c in case.clients], turn)]


def took_turns(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """Each client held enough of what it was offered at the checkpoint of its turn."""
    turn_of = {"b2": "held", "a3": "both", "b3": "both"}
    for name in (c.name for c in evidence.manifest.clients):
        turn = evidence.receiver.checkpoint(turn_of.get(name, name))
        event = state_of(evidence, name, turn.t) if turn else None
        held, wanted = (keeps(event) if event else 0), enough_held(evidence, name)
        message = f"{name} held {mib(held)} in its turn, {mib(wanted)} are needed"
        yield (passed if held >= wanted else unclear)("exercised", message, at_sample(turn) if turn else CHECKPOINTS)


# -- opt-in ----------------------------------------------------------------------------------------------------------


@rule("opted")
def opted(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """A driver that opted in is accounted for under either setting; any other one gets what the setting says."""
    profile, release = NICS.get(evidence.manifest.nic), evidence.manifest.kernel.release
    told_of = profile is not None and DESIGNS["put-hook"].accounts_for(profile, release)
    found = []
    for name, checkpoint, setting in (("lenient", "lenient", 0), ("strict", "held", 1)):
        sample = evidence.receiver.checkpoint(checkpoint)
        event = state_of(evidence, name, sample.t) if sample else None
        if sample is None or event is None or name not in sample.cgroups:
            found.append(unclear("opted", f"no checkpoint `{checkpoint}` of client {name}", CHECKPOINTS))
        elif sample.net.get(SETTING) != setting:
            have = sample.net.get(SETTING, "not there")
            found.append(failed("opted", f"{OPT_IN_SYSCTL} is {have} after it was set to {setting}", at_sample(sample)))
        elif told_of or setting == 0:
            found.append(_mapped_and(evidence, name, sample, event, charged=told_of))
        else:
            found.append(_refused(evidence, name, sample, event))
    return found


def _mapped_and(evidence: Evidence, name: str, sample: Sample, event: ClientEvent, *, charged: bool) -> Finding:
    """Mapped, and charged for it or for none of it."""
    held, bill = keeps(event), growth(evidence, name, sample)
    share = event.count("mapped") / max(1, event.count("delivered"))
    message = (
        f"with {OPT_IN_SYSCTL} {sample.net[SETTING]} client {name} mapped {share:.0%}, held {mib(held)} and was "
        f"charged {bill}; expected is {'all' if charged else 'nothing'}"
    )
    if event.count("refusals") or share < evidence.manifest.floor:
        return failed("opted", f"{message}; {_refusals(event)}", at_sample(sample))
    due, slack = held if charged else 0, tolerance(evidence, held)
    return Finding("opted", bill.word(due - slack, due + slack), message, at_sample(sample))


def _refused(evidence: Evidence, name: str, sample: Sample, event: ClientEvent) -> Finding:
    """Nothing mapped, EINVAL, and every byte there by copy."""
    mapped, copied, offered = event.count("mapped"), event.count("copied"), deliver_of(evidence, name)
    message = (
        f"with {OPT_IN_SYSCTL} {sample.net[SETTING]} client {name} mapped {mib(mapped)} and copied {mib(copied)} of "
        f"{mib(offered)}; {_refusals(event)}"
    )
    promised = not mapped and event.count("refusals") and event.count("refusal") == errno.EINVAL
    return (passed if promised and copied == offered else failed)("opted", message, at_sample(sample))


def _refusals(event: ClientEvent) -> str:
    code = event.count("refusal")
    return f"{event.count('refusals')} calls were refused" + (
        f" with {errno.errorcode.get(code, code)}" if code else ""
    )


def both_took(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """Under either setting the whole stream was taken, mapped or copied."""
    for name in ("lenient", "strict"):
        log = evidence.clients.get(name)
        last = log.last("holding") if log else None
        taken, offered = (last.count("delivered") if last else 0), deliver_of(evidence, name)
        message = f"client {name} took {mib(taken)} of {mib(offered)}"
        whole = taken == offered >= MIB
        yield (passed if whole else unclear)("exercised", message, log.path if log else f"clients/{name}.jsonl")


# -- the network's page pool -----------------------------------------------------------------------------------------


@rule("counted")
def counted(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """The kernel counts as used what the client holds, and as cached, or free again, what it has released."""
    start, held = baseline(evidence), evidence.receiver.checkpoint("held")
    released, last = evidence.receiver.checkpoint("released"), ledger.last
    if start is None or held is None or released is None or last is None or last.t != held.t:
        return [unclear("counted", "no checkpoint `held` or `released` to read the counters at", CHECKPOINTS)]
    missing = [name for name, kind in (("used", USED), ("cached", CACHED)) if not shows(held, kind)]
    if missing:
        forms = " and no ".join(f"nr_NAME_{name}" for name in missing)
        return [failed("counted", f"/proc/vmstat has no counter {forms} (docs/kernels.md)", at_sample(held))]
    return [_used(last.held, held, start), _unused(last.held, released, start), _where(last.held, held, released)]


def _pool(sample: Sample, kind: re.Pattern[str], since: Sample) -> int:
    """Growth of a counter of the pool, in bytes."""
    return (pool_pages(sample, kind) - pool_pages(since, kind)) * PAGE_SIZE


def _slack(held: int) -> int:
    """Rings are refilled and queues move a little: 5 % and 2 MiB."""
    return held // 20 + 2 * MIB


def _used(held: int, sample: Sample, start: Sample) -> Finding:
    used = _pool(sample, USED, start)
    message = (
        f"the client holds {mib(held)}, the pool's used pages grew by {mib(used)}; up to {mib(_slack(held))} is noise"
    )
    return (passed if abs(used - held) <= _slack(held) else failed)("counted", message, at_sample(sample))


def _unused(held: int, released: Sample, start: Sample) -> Finding:
    used = _pool(released, USED, start)
    message = (
        f"after release the pool's used pages are {mib(used)} over where it began; up to {mib(_slack(held))} is noise"
    )
    return (passed if abs(used) <= _slack(held) else failed)("counted", message, at_sample(released))


def _where(held: int, before: Sample, released: Sample) -> Finding:
    """What was released is cached, or free: free memory must not rise by what the pool says it has."""
    cached = _pool(released, CACHED, before)
    freed = released.meminfo["MemFree"] - before.meminfo["MemFree"]
    message = f"of {mib(held)} released, the pool's cached pages grew by {mib(cached)} and free memory by {mib(freed)}"
    whole = cached >= -_slack(held) and abs(cached + freed - held) <= agreement(held)
    return (passed if whole else failed)("counted", message, at_sample(released))


@rule("given-back")
def given_back(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """Under pressure the pool gives at least half of its cached pages back before anybody is killed for memory."""
    start, released, pressed = (evidence.receiver.checkpoint(n) for n in ("baseline", "released", "pressed"))
    if start is None or released is None or pressed is None:
        return [unclear("given-back", "no checkpoint `released` or `pressed`", CHECKPOINTS)]
    before, after = (pool_pages(s, CACHED) * PAGE_SIZE for s in (released, pressed))
    message = f"{mib(before)} were cached after release, {mib(after)} after {_taken(pressed, released)} were taken"
    kill = next(iter(run_kills(evidence.receiver)), None)
    if kill:
        line = at_kill(kill, evidence.receiver.console)
        return [failed("given-back", f"{message}, and {kill.task} was killed for memory", line)]
    back = (passed if after <= before // 2 else failed)("given-back", message, at_sample(pressed))
    return [back, _explained(pressed, start, ledger.last.held if ledger.last else 0)]


def _taken(pressed: Sample, released: Sample) -> str:
    return mib(pressed.meminfo["AnonPages"] - released.meminfo["AnonPages"])


def _explained(pressed: Sample, start: Sample, held: int) -> Finding:
    """Pages that left the pool are somebody's now: whatever memory is in use has a name."""
    missing = gone(pressed, start)
    message = f"{mib(missing)} are gone that nothing explains, up to {mib(settled(held))} is noise"
    return (passed if missing <= settled(held) else failed)("given-back", message, at_sample(pressed))


def filled_and_pressed(evidence: Evidence, ledger: Ledger) -> Iterable[Finding]:
    """The pool had pages to give, and more was taken than could be had without them (or the taker died of it)."""
    released, pressed = (evidence.receiver.checkpoint(name) for name in ("released", "pressed"))
    if released is None or pressed is None or ledger.last is None:
        yield unclear("exercised", "no checkpoint `released` or `pressed`, or nothing held", CHECKPOINTS)
        return
    offered = deliver_of(evidence, ledger.client)
    cached, wanted = pool_pages(released, CACHED) * PAGE_SIZE, max(MIB, offered // 4)
    message = f"{ledger.client} held {mib(ledger.last.held)}; {mib(cached)} are cached after release"
    filled = ledger.last.held >= offered // 2 and cached >= wanted
    yield (passed if filled else unclear)("exercised", f"{message}, {mib(wanted)} are needed", at_sample(released))
    taken = pressed.meminfo["AnonPages"] - released.meminfo["AnonPages"]
    free = released.meminfo["MemFree"]
    died = any(_is_presser(kill) for kill in run_kills(evidence.receiver))
    message = f"{mib(taken)} were taken when {mib(free)} were free" + (", and the taker was killed" if died else "")
    yield (passed if died or taken > free else unclear)("exercised", message, at_sample(pressed))


def _is_presser(kill: OomKill) -> bool:
    return kill.task == PRESSER
