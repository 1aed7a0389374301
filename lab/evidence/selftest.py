# SPDX-License-Identifier: GPL-2.0-only
"""selftest.json and the captures beside it: what one selftest left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from lab.errors import BadInput
from lab.evidence.bundle import GUEST_FILES, Reading, guest_evidence
from lab.evidence.console import parse_console
from lab.evidence.files import Files, files_of
from lab.evidence.ktap import Document, parse_ktap
from lab.evidence.ktaplines import MAX_BYTES
from lab.evidence.manifest import Duration, FileRecord, HostRecord, Incident, KernelRecord, PairRecord
from lab.evidence.model import Console, GuestEvidence
from lab.evidence.names import OUTPUT, RECORD
from lab.evidence.seal import is_as_written
from lab.plan.names import ROLES
from lab.plan.nics import NICS

FORMAT = 2
"""What is written. Since 2 the record tells of host and pair and has a digest; telemetry and canaries are judged."""

FORMATS = (1, FORMAT)


class SelftestRecord(BaseModel):
    """How one selftest was run.

    host, pair what it ran on; None in records of format 1
    drive      seconds in which the telemetry was kept; None where no guest got ready, and in format 1
    built      why it could not be built; "" when it was
    skip       why it does not apply here; "" when it does
    cases      its cases as its source lists them, where it announces no plan
    floor      mapped share below which the NIC profile proves nothing
    argv       in the receiver; peer_argv in the sender, empty when nothing ran there
    status     its exit status; 128 + N when signal N killed it; None when nobody saw it end, or it was not waited for
    lacking    options that the test's directory asks for and this kernel has not built in, as far as the guest tells
    tainted    by role, what /proc/sys/kernel/tainted said before and after the test
    timed_out  what was waited for when its time was up; "" when it was in time
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
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
    def _known(self) -> SelftestRecord:
        if self.format not in FORMATS:
            raise ValueError(f"format {self.format}; this lab reads formats {' and '.join(map(str, FORMATS))}")
        if self.format > 1 and (self.host is None or self.pair is None):
            raise ValueError("host and pair are not told")
        return self


@dataclass(frozen=True)
class SelftestEvidence:
    """A selftest's bundle, parsed. `problems` lists files that are absent or altered, as sentences.

    said     the kernel's words in the test's output, read as those of a console
    altered  paths of files whose bytes are not those the record vouches for
    """

    record: SelftestRecord
    output: str
    said: Console
    documents: tuple[Document, ...]
    guests: tuple[GuestEvidence, ...]
    problems: tuple[str, ...]
    altered: frozenset[str] = frozenset()


def file_records(files: Mapping[str, bytes]) -> dict[str, FileRecord]:
    """Size and hash of everything but the record itself."""
    given = files_of(files)
    return {name: given.record(name) for name in sorted(given) if name != RECORD}


def parse_selftest(files: Mapping[str, bytes]) -> SelftestEvidence:
    """Raises BadInput when the record is absent or not understood; everything else that is wrong is evidence."""
    given = files_of(files)
    record = _record(given)
    reading = Reading(given)
    output = reading.get(OUTPUT, b"")
    known = file_records(given)
    altered = frozenset(n for n, vouched in record.files.items() if n in known and known[n] != vouched)
    if not is_as_written(record, given[RECORD]):
        altered = frozenset((RECORD, *known))
    guests = tuple(_guests(record, reading))
    return SelftestEvidence(
        record,
        output[:MAX_BYTES].decode("utf-8", "replace").replace("\r", ""),
        parse_console(OUTPUT, output[:MAX_BYTES]),
        parse_ktap(output),
        guests,
        tuple(chain(_problems(record, known, altered), given.problems, dict.fromkeys(reading.bounds))),
        altered,
    )


def _record(files: Files) -> SelftestRecord:
    try:
        return SelftestRecord.model_validate_json(files[RECORD])
    except KeyError as exc:
        raise BadInput([f"{RECORD} is not there"], hint="name a folder that `lab selftest` made") from exc
    except ValidationError as exc:
        told = exc.errors(include_input=False, include_url=False)
        raise BadInput([f"{RECORD}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in told]) from exc


def _roles(record: SelftestRecord) -> tuple[str, ...]:
    nic = NICS.get(record.nic)
    return ROLES[:1] if nic is not None and nic.link == "none" else ROLES


def _guests(record: SelftestRecord, files: Reading) -> Iterator[GuestEvidence]:
    """Nobody looked at telemetry when records had the first format, nor for consoles that were not there."""
    if record.format > 1:
        yield from (guest_evidence(role, files) for role in _roles(record))
        return
    for role in ROLES:
        console = f"{role}/console.log"
        if console in files:
            yield guest_evidence(role, {console: files[console]})


def _problems(record: SelftestRecord, known: Mapping[str, FileRecord], altered: frozenset[str]) -> Iterator[str]:
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


def _needed(record: SelftestRecord) -> Iterator[str]:
    """The files no judgement can do without, once guests were there."""
    if record.drive is not None:
        for role in _roles(record):
            yield from (*GUEST_FILES[role], f"{role}/checkpoints.jsonl")
    if record.argv:
        yield OUTPUT
