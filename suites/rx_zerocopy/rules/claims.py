# SPDX-License-Identifier: GPL-2.0-only
"""Rules about the claims themselves: each turns one promise of the kernel into PASS or FAIL, or says why it cannot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from lab.evidence.ledger import client_record
from lab.evidence.memory import baseline, cache_unseen, gone
from lab.evidence.model import ClientEvent, Evidence, Ledger, ProgramLog, Sample
from lab.plan.case import ClientSpec
from lab.units import MIB, PAGE_SIZE, mib
from lab.verdict.case import Case, rule
from lab.verdict.measure import (
    AtKill,
    Between,
    at,
    at_kill,
    at_limit_kill,
    at_sample,
    batch,
    failed,
    killed,
    limit_of,
    mem_total,
    moment,
    most_held,
    own_charge,
    passed,
    peak,
    queue_charge,
    refused,
    run_kills,
    settled,
    sockets_of,
    tcp_growth,
    tolerance,
    unclear,
    verdict_line,
    witness,
)
from lab.verdict.model import Finding
from lab.verdict.oom import victim
from suites.rx_zerocopy.rules.bills import SHARP

OF_A_SOCKET = 2 * PAGE_SIZE
"""What stays with a client for each socket it had: a page table and a page of its own (keep_rooted_area())."""

OWN_RESIDENT = 2 * MIB
"""What a client's page tables hold beside the data it received: its program, its stack, its notes of page frames."""

STRAY_PAGES = 8
"""Plain pages that may be charged to removed cgroups. A page of the network waits in no batch once the programs have
ended, so none is left; while a process lives that has left its cgroup, one page of the kernel's own is seen. One page
of every batch of 31 that stays charged in a driver's cache of 512 makes 16."""


@rule("billed")
def billed(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """What the client holds is charged to its cgroup: held - charged stays within tolerance at the moment of most."""
    last, pointer = ledger.last, verdict_line(evidence, ledger)
    if killed_at := at_limit_kill(evidence, ledger.client):
        return [_billed_at_kill(evidence, ledger, killed_at)]
    if last is None:
        return [unclear("billed", f"there is no moment at which {ledger.client} can be measured", pointer)]
    if last.charged > mem_total(evidence):
        return [failed("billed", f"{mib(last.charged)} charged is more than the guest has: it underflowed", pointer)]
    slack, queued = tolerance(evidence, last.held) + last.moving, _queue_charge(evidence, ledger)
    escape = last.escape + queued
    limit = "no limit" if ledger.limit is None else f"a limit of {mib(ledger.limit)}"
    message = (
        f"{ledger.client} held {mib(last.held)} and was charged {mib(last.charged)}, {mib(queued)} of it for queues: "
        f"{mib(escape)} escaped ({_ratio(escape, last.held)}), {mib(slack)} are tolerated; {limit}; "
        f"{witness(evidence, ledger)}"
    )
    if escape > slack:
        return [failed("billed", message, pointer)]
    if last.moving > last.held // 2:
        return [unclear("billed", f"{message}; it moved too fast to be measured", pointer)]
    return [passed("billed", message, pointer)]


def _billed_at_kill(evidence: Evidence, ledger: Ledger, at: AtKill) -> Finding:
    """By the kernel's own report and the client's last line: whether a sample caught the moment does not matter."""
    held, slack = max(at.held, at.resident - OWN_RESIDENT), tolerance(evidence, at.held)
    message = (
        f"{ledger.client} held {mib(held)} when it was killed at its limit, and was charged {mib(at.charged)} by the "
        f"kernel's report: {mib(held - at.charged)} escaped, {mib(slack)} are tolerated"
    )
    pointer = at_kill(at.kill, evidence.receiver.console)
    return (failed if held - at.charged > slack else passed)("billed", message, pointer)


def _queue_charge(evidence: Evidence, ledger: Ledger) -> int:
    now, start = moment(evidence, ledger), baseline(evidence)
    return queue_charge(now, start, ledger.client) if now and start else 0


def _ratio(part: int, whole: int) -> str:
    return f"{part / whole:.0%} of it" if whole else "of nothing"


@rule("returned")
def returned(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """After every reference is dropped, charge and free memory are back where they were, and not below."""
    released, start = evidence.receiver.checkpoint("released"), baseline(evidence)
    end = evidence.receiver.checkpoint("end")
    log = evidence.clients.get(ledger.client)
    if released is None or start is None or end is None or log is None or not log.last("released"):
        return [unclear("returned", f"{ledger.client} was not seen to release", "receiver/checkpoints.jsonl")]
    held = ledger.last.held if ledger.last else 0
    charge = _charge_back(evidence, ledger.client, released)
    return [charge, *_charged_to_the_dead(released), memory_back("returned", (released, end), start, held)]


def _charged_to_the_dead(released: Sample) -> Iterator[Finding]:
    """A driver's cache may keep pages of clients that were before, the preflight's for one: then it keeps fewer of the
    client's, and both together are what it keeps charged."""
    pages = released.pages.offline if released.pages else None
    if pages is not None:
        message = f"{pages} pages are charged to removed cgroups at `released`, up to {STRAY_PAGES} are noise"
        yield (passed if pages <= STRAY_PAGES else failed)("returned", message, at_sample(released))


def _charge_back(evidence: Evidence, name: str, released: Sample) -> Finding:
    group, pointer = released.cgroups.get(name), at_sample(released)
    if group is None:
        return unclear("returned", f"/lab/{name} was gone before its charge could be read", pointer)
    own = own_charge(evidence, name)
    slack = SHARP + batch(evidence) + sockets_of(evidence, name) * OF_A_SOCKET
    allowed = Between(own.low + slack, own.high + slack)
    after = next(
        (s.cgroups[name].current for s in evidence.receiver.samples if s.t >= released.t and name in s.cgroups), 0
    )
    current = max(group.current, after)  # it had settled, so a reading just after must not be higher
    message = f"memory.current is {mib(current)} after release, up to {allowed} is its own"
    if current > mem_total(evidence):
        return failed("returned", f"{message}: it underflowed", pointer)
    if allowed.low < current <= allowed.high:
        return unclear("returned", f"{message}: that is not known well enough", pointer)
    return (passed if current <= allowed.low else failed)("returned", message, pointer)


def memory_back(rule: str, when: tuple[Sample, ...], start: Sample, held: int) -> Finding:
    """Free memory came back at one of these checkpoints; the last is polled for longest."""
    best = min(when, key=lambda s: gone(s, start))
    missing = gone(best, start)
    message = f"{mib(missing)} of memory are still gone at `{best.name}`, up to {mib(settled(held))} is noise"
    if missing <= settled(held):
        return passed(rule, message, at_sample(best))
    return failed(rule, message + cache_unseen(best), at_sample(best))


@rule("buried")
def buried(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """A cgroup removed while its pages were out does not linger once they are dropped."""
    points = {name: evidence.receiver.checkpoint(name) for name in ("control", "removed", "end")}
    control, removed, end = points["control"], points["removed"], points["end"]
    start, log = baseline(evidence), evidence.clients.get(ledger.client)
    if control is None or removed is None or end is None or start is None:
        lacking = ", ".join(name for name, sample in points.items() if sample is None)
        return [unclear("buried", f"no checkpoint {lacking}", "receiver/checkpoints.jsonl")]
    if ledger.client in removed.cgroups or log is None or not log.last("left"):
        return [unclear("buried", f"/lab/{ledger.client} was never removed", at_sample(removed))]
    memory = memory_back("buried", (end,), start, ledger.last.held if ledger.last else 0)
    return [*gone_for_good("buried", control, end), memory]


def gone_for_good(rule: str, control: Sample, end: Sample) -> Iterator[Finding]:
    """A removed cgroup does not linger. The dying count can be masked: by a cgroup of an earlier run that goes while
    this one stays. Pages cannot."""
    message = f"{end.dying} dying cgroups at the end, {control.dying} after an empty one was removed"
    yield (passed if end.dying <= control.dying else failed)(rule, message, at_sample(end))
    pages, pointer = end.pages.offline if end.pages else None, at_sample(end)
    if pages is None:
        yield unclear(rule, "nobody counted the pages charged to removed cgroups", pointer)
        return
    message = f"{pages} pages are charged to removed cgroups at the end, up to {STRAY_PAGES} are noise"
    yield (passed if pages <= STRAY_PAGES else failed)(rule, message, pointer)


@rule("isolated")
def isolated(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """Nobody but the abuser pays: no other victim of the OOM killer, and the innocent's rate holds."""
    victims = list(other_victims("isolated", evidence, case))
    innocents = [c for c in case.clients if c.name != case.subject]
    rates = [_rate_held(evidence, ledger, innocent) for innocent in innocents]
    return [*victims, *(r for r in rates if r is not None)] or [
        unclear("isolated", "there was no bystander", "manifest.json")
    ]


def other_victims(rule: str, evidence: Evidence, case: Case) -> Iterator[Finding]:
    console = evidence.receiver.console
    for kill in run_kills(evidence.receiver):
        name, owned = victim(evidence, kill)
        if owned != case.subject:
            message = f"{name} was killed by the {kill.constraint.value} OOM killer, which is not the abuser"
            yield failed(rule, message, at_kill(kill, console))


def _rate_held(evidence: Evidence, ledger: Ledger, innocent: ClientSpec) -> Finding | None:
    """None when the innocent was killed: that is told already, and it has no rate left to judge."""
    log, abuser = evidence.clients.get(innocent.name), evidence.clients.get(ledger.client)
    if killed(evidence, innocent.name):
        return None
    if log is None or abuser is None or _nearly_most(evidence, ledger) is None:
        return unclear("isolated", "the abuser or the innocent left no account", f"clients/{innocent.name}.jsonl")
    before = _window_before(log, abuser)
    during = _window_during(evidence, abuser, ledger)
    if before[1] - before[0] < 1 or during[1] - during[0] < 1:
        message = (
            f"{before[1] - before[0]:.1f} s before the abuse and {during[1] - during[0]:.1f} s during it are too short"
        )
        return unclear("isolated", message, log.path)
    usual, squeezed = _rate(log, *before), _rate(log, *during)
    message = f"{innocent.name} ran at {mib(usual)}/s before and {mib(squeezed)}/s while the abuser held its most"
    if usual < innocent.rate / 2 or usual <= 0:
        return unclear("isolated", f"{message}; it never ran as it was told to, {mib(innocent.rate)}/s", log.path)
    return (passed if squeezed >= usual / 2 else failed)("isolated", message, at(log, log.last("progress")))


def _window_before(log: ProgramLog, abuser: ProgramLog) -> tuple[float, float]:
    """From the innocent's first bytes to the abuser's first connection."""
    start = next((e.t for e in log.events if e.count("delivered")), 0.0)
    accepted = next((e.t for e in abuser.events if e.event == "accepted"), start)
    return start, accepted


def _window_during(evidence: Evidence, abuser: ProgramLog, ledger: Ledger) -> tuple[float, float]:
    """From when the abuser held all but a twentieth of its most to the first sign that anybody was told to let go, or
    the last sample. At the end of memory a stream trickles on for minutes, and its very most comes last."""
    start = _nearly_most(evidence, ledger) or 0.0
    over = [e.t for log in evidence.clients.values() for e in log.events if e.event in ("released", "left", "done")]
    over += [c.t for c in evidence.receiver.checkpoints if c.name in ("released", "end")]
    over += [s.t for s in evidence.receiver.samples[-1:]]
    return start, min((t for t in over if t > start), default=start)


def _nearly_most(evidence: Evidence, ledger: Ledger) -> float | None:
    if ledger.last is None:
        killed_at = at_limit_kill(evidence, ledger.client)
        return killed_at.event.t if killed_at else None
    enough = ledger.last.held * 19 // 20
    return next((p.t for p in ledger.points if p.held >= enough), ledger.last.t)


def _rate(log: ProgramLog, start: float, end: float) -> float:
    """Bytes per second over a window; what came is read off the last line at either end."""
    return (_delivered_by(log, end) - _delivered_by(log, start)) / (end - start)


def _delivered_by(log: ProgramLog, t: float) -> int:
    return max((e.count("delivered") for e in log.events if e.t <= t), default=0)


@rule("contained")
def contained(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """Ordinary memory stops at the limit: the taker is killed in its own cgroup or refused, and nobody else is.

    Data that waits in its sockets is left out. TCP charges it in softirq context with GFP_ATOMIC, which
    try_charge_memcg() lets through, so the charge passes the limit on every kernel. On a busy host 6 MiB were seen.
    """
    return [*other_victims("contained", evidence, case), *_stopped_at_limit(evidence, ledger)]


def _most_queued(evidence: Evidence, name: str, killed_at: AtKill | None) -> int:
    """The most that a cgroup was charged for data in queues: by memory.stat and TCP's own count, or, when its limit had
    the client killed, what it was charged for then and had in no page table. No sample need have seen that."""
    start = baseline(evidence)
    groups = [(s, s.cgroups[name]) for s in evidence.receiver.samples if name in s.cgroups]
    seen = [min(g.stat.get("sock", 0), tcp_growth(s, start)) for s, g in groups] if start else []
    return max(0, *seen, killed_at.charged - killed_at.resident if killed_at else 0)


def _stopped_at_limit(evidence: Evidence, ledger: Ledger) -> Iterator[Finding]:
    limit, last, pointer = ledger.limit, ledger.last, verdict_line(evidence, ledger)
    killed_at = at_limit_kill(evidence, ledger.client)
    if limit is None or (last is None and killed_at is None):
        yield unclear("contained", f"{ledger.client} had no limit or was never measured", pointer)
        return
    kill, refusal = killed(evidence, ledger.client), refused(evidence, ledger.client)
    queued = _most_queued(evidence, ledger.client, killed_at)
    most = max(peak(evidence, ledger.client) - queued, most_held(evidence, ledger))
    allowed = limit + tolerance(evidence, limit)
    message = (
        f"{ledger.client} took {mib(most)} of a limit of {mib(limit)}, {mib(queued)} in queues apart "
        f"({witness(evidence, ledger)})"
    )
    if most > allowed:
        yield failed("contained", f"{message}: it got away with more", pointer)
    elif kill and kill.constraint.value == "global":
        yield failed(
            "contained", f"{message}, and the guest ran out of memory first", at_kill(kill, evidence.receiver.console)
        )
    elif kill or refusal:
        how = "killed in its own cgroup" if kill else "refused with ENOMEM"
        yield passed(
            "contained", f"{message} and was {how}", at_kill(kill, evidence.receiver.console) if kill else pointer
        )
    else:
        yield unclear("contained", f"{message}, neither killed nor refused", pointer)


@rule("queue-billed")
def queue_billed(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """Data queued in sockets is charged as `sock`, and the limit holds."""
    held, last = evidence.receiver.checkpoint("held"), ledger.last
    group = held.cgroups.get(ledger.client) if held else None
    if held is None or last is None or group is None or "sock" not in group.stat:
        return [unclear("queue-billed", "no `sock` counter at the checkpoint `held`", "receiver/checkpoints.jsonl")]
    return [*_sock_counts(ledger.client, last.held, group.stat["sock"], held), *_limit_holds(evidence, ledger, held)]


def _sock_counts(name: str, queued: int, sock: int, held: Sample) -> Iterator[Finding]:
    """Charged at true size (sk_rmem), so never less than the bytes; a tenth is left for what arrives meanwhile."""
    message = f"{name} has {mib(queued)} queued and is charged {mib(sock)} as sock"
    yield (passed if sock >= queued * 9 // 10 else failed)("queue-billed", message, at_sample(held))


def _limit_holds(evidence: Evidence, ledger: Ledger, held: Sample) -> Iterator[Finding]:
    limit = limit_of(evidence, ledger.client)
    if limit is None:
        yield unclear("queue-billed", f"{ledger.client} had no limit", "manifest.json")
        return
    most, allowed = peak(evidence, ledger.client), limit + tolerance(evidence, limit)
    message = f"the charge reached {mib(most)} with a limit of {mib(limit)}"
    yield (passed if most <= allowed else failed)("queue-billed", message, at_sample(held))


@rule("bytes-equal")
def bytes_equal(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """Every client that verifies got exactly what was sent."""
    verified = [c.name for c in case.clients if c.verify]
    found = [_same_bytes(evidence, name) for name in verified]
    return found or [unclear("bytes-equal", "no client verifies what it gets", "manifest.json")]


def _same_bytes(evidence: Evidence, name: str) -> Finding:
    client, sender = evidence.clients.get(name), evidence.peers.get(name)
    got, sent = _done(client), _done(sender)
    record = client_record(evidence, name)
    if client is None or sender is None or record is None or got is None or sent is None:
        return unclear("bytes-equal", f"client {name} or its sender did not end", f"clients/{name}.jsonl")
    if "mismatches" not in got.fields or "hash" not in got.fields or "hash" not in sent.fields:
        return unclear("bytes-equal", f"client {name} or its sender gave no hash", at(client, got))
    return _compare(client, got, sent, record.deliver)


def _compare(client: ProgramLog, got: ClientEvent, sent: ClientEvent, offered: int) -> Finding:
    pointer = at(client, got)
    mismatches, delivered, out = got.count("mismatches"), got.count("delivered"), sent.count("sent")
    holding = client.last("holding")
    if mismatches:
        where = got.count("first_mismatch")
        return failed("bytes-equal", f"{client.name}: {mismatches} bytes differ, the first at {where}", pointer)
    if out != offered:
        return unclear("bytes-equal", f"{client.name}: {mib(out)} were sent of {mib(offered)}", pointer)
    if delivered != out:
        message = f"{client.name}: {delivered} bytes came of {out} sent"
        cut = holding is None or holding.fields.get("reason") == "error"
        return (unclear if cut else failed)("bytes-equal", message, pointer)
    if got.fields["hash"] != sent.fields["hash"]:
        return failed("bytes-equal", f"{client.name}: the hash of what came is not that of what was sent", pointer)
    return passed("bytes-equal", f"{client.name}: {mib(delivered)} came as they were sent", pointer)


def _done(log: ProgramLog | None) -> ClientEvent | None:
    return log.last("done") if log else None
