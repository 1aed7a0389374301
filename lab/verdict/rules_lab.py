# SPDX-License-Identifier: GPL-2.0-only
"""Rules about the ground a run stands on: the kernels lived, the lab and its programs worked, the evidence is whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from lab.evidence.ledger import client_record
from lab.evidence.model import Evidence, GuestEvidence, Ledger, OomKill, ProgramLog
from lab.plan.limits import DEBUG_FRAGMENT, DEBUG_TIMES
from lab.plan.names import other, peers_folder
from lab.units import MIB, mib
from lab.verdict import ground
from lab.verdict.case import Case, rule
from lab.verdict.measure import at, at_kill, at_sample, checkpoints_of, killed, missed, passed, run_kills, unclear
from lab.verdict.model import Finding

if TYPE_CHECKING:
    from lab.evidence.manifest import ClientRecord

MAX_SILENCE_S = 3.0
"""DEBUG_TIMES as long with a kernel that has its own checks on: one was seen silent for 4.1 s with nothing amiss."""

MAX_MISSING = 0.05
"""Share of telemetry lines that may be lost before the series is called full of holes."""

KILL_STATUS = 137  # 128 + SIGKILL


@rule("kernel-alive")
def kernel_alive(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """Neither kernel faulted: no oops, panic, warning or lock-up on a console, and no hang."""
    return ground.kernel_alive(ground.of_run(evidence))


@rule("lab-alive")
def lab_alive(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """The lab's own machinery and programs worked. A guest that floods a channel is ended for it: that explains all."""
    if any(incident.kind == "flood" for incident in evidence.manifest.incidents):
        return [*ground.lab_trouble(ground.of_run(evidence))]
    trouble = [
        *ground.lab_trouble(ground.of_run(evidence)),
        *_unstarted(evidence, case),
        *_statuses(evidence),
        *_starved_peers(evidence),
    ]
    return trouble or [
        passed("lab-alive", "no incident; every program started and ended as it should", "manifest.json")
    ]


def _unstarted(evidence: Evidence, case: Case) -> Iterator[Finding]:
    for client in case.clients:
        for folder, logs in (("clients", evidence.clients), (peers_folder(evidence.manifest.tested), evidence.peers)):
            log = logs.get(client.name)
            if log is None or not log.last("ready"):
                yield missed(
                    "lab-alive", f"{folder}/{client.name} never said it was ready", f"{folder}/{client.name}.jsonl"
                )


def _statuses(evidence: Evidence) -> Iterator[Finding]:
    for record in evidence.manifest.clients:
        excused = record.status == KILL_STATUS and (record.killed or killed(evidence, record.name) is not None)
        if record.status is None:
            yield missed("lab-alive", f"nobody saw client {record.name} end", "manifest.json")
        elif record.status != 0 and not excused:
            why = (
                "no OOM kill on the console explains it"
                if record.status == KILL_STATUS
                else _complaint(evidence, record)
            )
            message = f"client {record.name} ended with status {record.status}: {why}"
            yield unclear("lab-alive", message, f"clients/{record.name}.jsonl")
        yield from _peer_status(evidence, record)


def _peer_status(evidence: Evidence, record: ClientRecord) -> Iterator[Finding]:
    tested = evidence.manifest.tested
    if record.peer_status is None:
        yield missed("lab-alive", f"nobody saw the {other(tested)} of {record.name} end", "manifest.json")
    elif record.peer_status != 0:
        message = f"the {other(tested)} of {record.name} ended with status {record.peer_status}"
        yield unclear("lab-alive", message, f"{peers_folder(tested)}/{record.name}.jsonl")


def _complaint(evidence: Evidence, record: ClientRecord) -> str:
    log = evidence.clients.get(record.name)
    error = log.last("error") if log else None
    return str(error.fields.get("message", "it does not say why")) if error else "it does not say why"


def _starved_peers(evidence: Evidence) -> Iterator[Finding]:
    """An OOM kill in the guest beside is the lab's own poor planning, not what the case is about."""
    if (beside := evidence.beside) is None:
        return
    for kill in run_kills(beside):
        message = f"the {beside.role} guest ran out of memory and killed {kill.task}"
        yield unclear("lab-alive", message, at_kill(kill, beside.console))


@rule("complete")
def complete(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """The evidence is whole: unaltered, unbroken, about this case, and covering the clients' lives."""
    trouble = [
        *ground.damage(ground.of_run(evidence)),
        *_broken_logs(evidence),
        *_clients_of_case(evidence, case),
        *_endings(evidence, case),
        *_telemetry(evidence),
        *_kills_told(evidence),
    ]
    counted = f"{len(evidence.tested.samples)} samples, {len(evidence.tested.checkpoints)} checkpoints"
    return trouble or [passed("complete", f"evidence is whole: {counted}", "manifest.json")]


def _broken_logs(evidence: Evidence) -> Iterator[Finding]:
    logs = (*evidence.clients.values(), *evidence.peers.values(), evidence.preflight)
    for log in logs:
        if log and log.truncated:
            yield unclear("complete", f"{log.path} has lines that cannot be read", log.path)
    for name in ("baseline", "end") if evidence.manifest.clients else ():
        if evidence.tested.checkpoint(name) is None:
            yield unclear("complete", f"the checkpoint `{name}` is missing", checkpoints_of(evidence))


def _clients_of_case(evidence: Evidence, case: Case) -> Iterator[Finding]:
    """What was run is what the case describes, and the limit was in force."""
    ran = sorted(c.name for c in evidence.manifest.clients)
    if ran != sorted(c.name for c in case.clients):
        yield unclear("complete", f"case {case.name} was run with clients {', '.join(ran) or 'none'}", "manifest.json")
    for client in case.clients:
        record = client_record(evidence, client.name)
        if record is None:
            continue
        if record.behaviour != client.behaviour or (record.limit is None) != (client.limit is None):
            message = f"client {client.name} was run as {record.behaviour} with limit {record.limit}"
            yield unclear("complete", message, "manifest.json")
        yield from _limit_in_force(evidence, record)


def _limit_in_force(evidence: Evidence, record: ClientRecord) -> Iterator[Finding]:
    """Judged on every sample in which the client's process is in its cgroup; a limit that was lowered stays so."""
    groups = [(s, s.cgroups[record.name]) for s in evidence.tested.samples if record.name in s.cgroups]
    lived = [(s, g) for s, g in groups if g.procs]
    if not lived:
        pointer = at_sample(None, evidence.tested.role)
        yield unclear("complete", f"telemetry never saw client {record.name} in its cgroup", pointer)
    limit = record.limit
    for sample, group in lived:
        limit = record.lowered if record.lowered is not None and group.max == record.lowered else limit
        if group.max != limit:
            message = f"memory.max of /lab/{record.name} was {group.max}, the manifest says {limit}"
            yield unclear("complete", message, at_sample(sample))
            return


def _endings(evidence: Evidence, case: Case) -> Iterator[Finding]:
    for client in case.clients:
        log, record = evidence.clients.get(client.name), client_record(evidence, client.name)
        by_lab = record is not None and record.killed
        if log and not log.last("done") and not by_lab and not killed(evidence, client.name):
            message = f"client {client.name} neither said that it was done nor was killed by the kernel"
            yield unclear("complete", message, at(log, log.last()))


def _telemetry(evidence: Evidence) -> Iterator[Finding]:
    allowed = MAX_SILENCE_S * (DEBUG_TIMES if DEBUG_FRAGMENT in evidence.manifest.kernel.fragments else 1)
    for guest in ground.of_run(evidence).guests:
        pointer = f"{guest.role}/telemetry.jsonl"
        if guest.missing > MAX_MISSING * len(guest.samples):
            message = f"{guest.missing} of {guest.missing + len(guest.samples)} telemetry lines are missing"
            yield unclear("complete", message, pointer)
        logs = evidence.clients if guest is evidence.tested else evidence.peers
        times = _times(guest, logs.values())
        silence = max((b - a for a, b in pairwise(times)), default=0.0)
        if not guest.samples or silence > allowed:
            message = f"telemetry of the {guest.role} was silent for {silence:.1f} s while programs ran"
            yield unclear("complete", message, pointer)


def _times(guest: GuestEvidence, logs: Iterable[ProgramLog]) -> list[float]:
    """Sample times within the programs' lives, with the first and the last line of those lives at the ends."""
    lines = [e.t for log in logs for e in log.events]
    if not lines:
        return [s.t for s in guest.samples]
    first, last = min(lines), max(lines)
    before = [s.t for s in guest.samples if s.t < first][-1:]
    after = [s.t for s in guest.samples if s.t > last][:1]
    inside = [s.t for s in guest.samples if first <= s.t <= last]
    return [*(before or [first]), *inside, *(after or [last])]


def _kills_told(evidence: Evidence) -> Iterator[Finding]:
    """The console and the kernel's counter agree on the number of OOM kills, and the reports are there.

    Reports are printed at level info; if they are missing, so would be warnings, and silence would prove nothing.
    """
    for guest in ground.of_run(evidence).guests:
        kills = run_kills(guest)
        counted = _kill_count(guest)
        if guest.samples and counted != len(kills):
            message = f"the {guest.role}'s kernel counted {counted} OOM kills, its console tells {len(kills)}"
            yield unclear("complete", message, guest.console.path)
        if kills and not any(_reported(k) for k in kills):
            message = f"the {guest.role}'s console lacks the report of an OOM kill: its log level hides warnings too"
            yield unclear("complete", message, at_kill(kills[0], guest.console))


def _kill_count(guest: GuestEvidence) -> int:
    """Growth of vmstat `oom_kill` over the run."""
    seen = (*guest.samples, *guest.checkpoints)
    counts = [s.vmstat.get("oom_kill", 0) for s in seen]
    return max(counts) - guest.samples[0].vmstat.get("oom_kill", 0) if guest.samples else 0


def _reported(kill: OomKill) -> bool:
    return bool(kill.task_memcg or kill.oom_memcg)


@rule("preflight")
def preflight(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """The pair proved on a few MiB that this kernel, NIC and MTU do what the case is about."""
    log = evidence.preflight
    last = log.last("done") if log else None
    if log is None or last is None or case.traffic is None:
        return [unclear("preflight", "the preflight did not end", "preflight/client.jsonl")]
    asked, floor = case.traffic.preflight, evidence.manifest.floor
    whole, part = last.count(asked.whole), last.count(asked.part)
    if whole < MIB or not 0 < floor <= 1:
        message = f"the preflight moved {mib(whole)} against a floor of {floor:.2f}: nothing is proved"
        return [unclear("preflight", message, at(log, last))]
    share = part / whole
    message = f"{share:.0%} of {mib(whole)} {asked.shown}, the floor is {floor:.0%}"
    if not case.proved:
        return [passed("preflight", f"{message}, which this case does not need", at(log, last))]
    return [(passed if floor <= share <= 1 else unclear)("preflight", message, at(log, last))]
