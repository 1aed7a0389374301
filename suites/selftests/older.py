# SPDX-License-Identifier: GPL-2.0-only
"""Bundles of selftests from when these had a life of their own: selftest.json instead of a manifest.

They are judged by the rules of today. Records of format 1 have neither telemetry nor canaries, and nobody noted the
host's time: of those only consoles, incidents and what the test itself said are asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from lab.errors import BadInput
from lab.evidence.bundle import GUEST_FILES, Reading, guest_evidence
from lab.evidence.files import Files, files_of
from lab.evidence.manifest import Duration, FileRecord, HostRecord, Incident, KernelRecord, Manifest, PairRecord
from lab.evidence.model import Evidence, Ledger
from lab.evidence.seal import is_as_written
from lab.plan.design import Predicted
from lab.plan.names import ROLES
from lab.plan.nics import NICS
from lab.verdict import ground
from lab.verdict.case import Case, rule
from lab.verdict.model import Finding, Word
from lab.verdict.rules import BARE
from lab.verdict.rules_lab import kernel_alive, lab_alive
from suites.selftests.case import case_of
from suites.selftests.record import TestRecord, told_of
from suites.selftests.rules import applies, rules_of
from suites.selftests.table import OUTPUT, RECORD, row_for

FORMATS = (1, 2)
"""Since 2 the record tells of host and pair and has a digest; telemetry and canaries are judged."""

NOT_TOLD = "not told"


class OlderRecord(BaseModel):
    """selftest.json. What is said of TestRecord holds here; host and pair are None in records of format 1.

    drive    seconds in which the telemetry was kept; None where no guest got ready, and in format 1
    tainted  by role, what /proc/sys/kernel/tainted said before and after the test
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMATS[-1]
    test: str
    kernel: KernelRecord
    nic: str
    host: HostRecord | None = None
    pair: PairRecord | None = None
    drive: Duration | None = None
    accelerator: str
    source: str
    source_version: str
    floor: float
    cases: tuple[str, ...] = ()
    argv: tuple[str, ...] = ()
    peer_argv: tuple[str, ...] = ()
    status: int | None = None
    peer_status: int | None = None
    lacking: tuple[str, ...] = ()
    tainted: dict[str, tuple[int, int]] = {}
    timed_out: str = ""
    built: str = ""
    skip: str = ""
    incidents: tuple[Incident, ...] = ()
    started: str
    seconds: float
    reproduce: str
    files: dict[str, FileRecord] = {}
    digest: str = ""

    @model_validator(mode="after")
    def _known(self) -> OlderRecord:
        if self.format not in FORMATS:
            raise ValueError(f"format {self.format}; this lab reads formats {' and '.join(map(str, FORMATS))}")
        if self.format > 1 and (self.host is None or self.pair is None):
            raise ValueError("host and pair are not told")
        return self


def parse_older(files: Mapping[str, bytes]) -> tuple[Evidence, Case]:
    """The evidence of such a bundle as one of today has it, and the case it is judged by.

    Raises BadInput when the record is absent or not understood; everything else that is wrong is evidence.
    """
    given = files_of(files)
    record = _record(given)
    reading = Reading(given)
    known = {name: given.record(name) for name in sorted(given) if name != RECORD}
    altered = frozenset(n for n, vouched in record.files.items() if n in known and known[n] != vouched)
    if not is_as_written(record, given[RECORD]):
        altered = frozenset((RECORD, *known))
    receiver, *others = (guest_evidence(role, reading) for role in _roles(record, known))
    evidence = Evidence(
        _manifest(record),
        receiver=receiver,
        sender=others[0] if others else None,
        clients={},
        peers={},
        preflight=None,
        problems=tuple(chain(_problems(record, known, altered), given.problems, dict.fromkeys(reading.bounds))),
        altered=altered,
        files=given,
    )
    return evidence, _case(record)


def _record(files: Files) -> OlderRecord:
    try:
        return OlderRecord.model_validate_json(files[RECORD])
    except KeyError as exc:
        raise BadInput([f"{RECORD} is not there"], hint="name a folder that `lab selftest` made") from exc
    except ValidationError as exc:
        told = exc.errors(include_input=False, include_url=False)
        raise BadInput([f"{RECORD}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in told]) from exc


def _manifest(record: OlderRecord) -> Manifest:
    """What there would be today. Raises BadInput for a record that says what cannot be."""
    host = record.host or HostRecord.model_validate(
        {
            **dict.fromkeys(("qemu", "libvirt", "connection", "machine", "image_sha256"), NOT_TOLD),
            "accelerator": record.accelerator,
        }
    )
    pair = record.pair or PairRecord(
        id=NOT_TOLD, shape=NOT_TOLD, receiver_mib=0, sender_mib=0, runs_before=0, cmdline=NOT_TOLD
    )
    fields: dict[str, Any] = {
        "format": record.format,
        "run": record.test.replace("/", "."),
        "case": record.test,
        "nic": record.nic,
        "repeat": 0,
        "predicted": Predicted.PASS.value,
        "kernel": record.kernel,
        "host": host,
        "pair": pair,
        "mtu": 0,
        "floor": record.floor,
        "clients": (),
        "incidents": record.incidents,
        "seconds": {"provision": 0.0, "drive": record.drive or 0.0, "collect": 0.0},
        "started": record.started,
        "lab_version": NOT_TOLD,
        "reproduce": record.reproduce,
        "files": record.files,
    }
    try:
        return Manifest.model_validate(fields)
    except ValidationError as exc:
        told = exc.errors(include_input=False, include_url=False)
        raise BadInput([f"{RECORD}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in told]) from exc


def _case(record: OlderRecord) -> Case:
    """The test's case; it finds in the record what today's finds in test.json."""
    test = row_for(record.test, None)
    told = {name: value for name, value in record if name in TestRecord.model_fields}

    def read(evidence: Evidence) -> Any:  # noqa: ANN401 - Own; a protocol mypy checks where it is used
        tainted = {role: tuple(flags) for role, flags in record.tainted.items()}
        return told_of(test, TestRecord(**told), "", evidence.files.get(OUTPUT, b""), tainted)

    return replace(case_of(test), read=read, rules=_rules(record))


def _rules(record: OlderRecord) -> tuple[Any, ...]:
    test = row_for(record.test, None)
    if record.built:
        return (applies,)
    if record.skip and record.format == 1:
        return (applies, consoles)
    if record.format == 1:
        return (kernel_alive, lab_alive, consoles, *rules_of(test))
    return (*BARE, *rules_of(test))


@rule("complete")
def consoles(evidence: Evidence, case: Case, ledger: Ledger) -> Iterable[Finding]:
    """The evidence is unaltered, and a console says how the kernel fared. Nobody kept telemetry."""
    under = ground.of_run(evidence)
    found = [*ground.damage(under)]
    if not any(guest.console.lines for guest in under.guests) and not under.incidents:
        found.append(Finding("complete", Word.ERROR, "no console says how the kernel fared", RECORD))
    return found or [Finding("complete", Word.PASS, "a console tells how the kernel fared", RECORD)]


def _roles(record: OlderRecord, known: Mapping[str, FileRecord]) -> tuple[str, ...]:
    """In the first format there was a sender where there is its console."""
    nic = NICS.get(record.nic)
    alone = nic is not None and nic.link == "none"
    if record.format == 1:
        alone = "sender/console.log" not in known
    return ROLES[:1] if alone else ROLES


def _problems(record: OlderRecord, known: Mapping[str, FileRecord], altered: frozenset[str]) -> Iterator[str]:
    needed = [*_needed(record)] if record.format > 1 else []
    if RECORD in altered:
        yield f"{RECORD}: altered since it was written"
    for name in dict.fromkeys((*needed, *record.files)):
        if name not in known:
            yield f"{name}: absent"
        elif name not in record.files:
            yield f"{name}: the record does not vouch for it"
        elif name in altered:
            yield f"{name}: altered since it was collected"


def _needed(record: OlderRecord) -> Iterator[str]:
    """The files no judgement can do without, once guests were there."""
    if record.drive is not None:
        for role in _roles(record, record.files):
            yield from (*GUEST_FILES[role][:2], f"{role}/checkpoints.jsonl")
    if record.argv:
        yield OUTPUT
