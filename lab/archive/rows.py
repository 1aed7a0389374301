# SPDX-License-Identifier: GPL-2.0-only
"""What the archive knows of a run: rows, made of a judged bundle alone, so that whoever makes them makes the same.

Every text is clipped and printable here: a bundle may come from anywhere, and a row is kept for years.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from pydantic import ConfigDict, Field, TypeAdapter

from lab.evidence.manifest import HostRecord, Incident, KernelRecord
from lab.host.filecache import key_of
from lab.report.model import RunResult
from lab.report.wording import worst_first
from lab.text.words import clipped, one_line
from lab.verdict.model import Finding, Word

NAME, TEXT = 512, 1000
"""Characters of a name and of a sentence that are kept."""
FINDINGS = 50
"""Findings kept of a run: those that speak against it. The bundle has all."""
UNSEEN = frozenset({Word.PASS, Word.SKIP, Word.DONE})
"""Words of findings that nobody asks for in a row."""

STRICT = ConfigDict(strict=True, extra="forbid")
Name = Annotated[str, Field(max_length=NAME)]
Text = Annotated[str, Field(max_length=TEXT)]
MOST = 2**63 - 1
"""SQLite's integers have a sign and 63 bits."""
Size = Annotated[int, Field(ge=-MOST, le=MOST)]
Seconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class KernelRow:
    """A kernel by what it is. `key` is a hash of all the rest."""

    __pydantic_config__ = STRICT

    key: Name
    name: Name
    release: Name
    design: Name
    sha256: Name
    config_sha256: Name
    initrd_sha256: Name
    base: Text
    series: Text
    fragments: Text
    described: Text


@dataclass(frozen=True)
class HostRow:
    """What guests ran on. `key` is a hash of all the rest."""

    __pydantic_config__ = STRICT

    key: Name
    node: Text
    system: Text
    cpu: Text
    cpus: Size
    memory_mib: Size
    qemu: Name
    libvirt: Name
    accelerator: Name
    connection: Name


@dataclass(frozen=True)
class FindingRow:
    """A finding that speaks against a run."""

    __pydantic_config__ = STRICT

    rule: Name
    word: Name
    message: Text
    pointer: Name


@dataclass(frozen=True)
class RunRow:
    """One run. `key` is that of its manifest's bytes: a copy of the bundle is the same run.

    cell      what is repeated night by night (`cell_of`)
    surprise  1 when the word is not the one that was predicted;  fault  1 when a kernel faulted in it
    rule, why, pointer   the finding that decided, where the word is none that everybody wants
    held, charged, escaped, gone, limited   the ledger's last line in bytes; None where there is none
    cost, cost_low, cost_high   instructions against the reference, with its interval (None without an end)
    incidents the kinds, a blank between two;  victims  who was killed, a blank between two
    seconds   of wall time in all, and of its parts
    judged_by a hash of the code that decided
    """

    __pydantic_config__ = STRICT

    key: Name
    run: Name
    session: Name
    case_name: Name
    nic: Name
    design: Name
    line: Name
    cell: Text
    repeat: Size
    predicted: Name
    word: Name
    surprise: Size
    fault: Size
    rule: Name
    why: Text
    pointer: Name
    held: Size | None
    charged: Size | None
    escaped: Size | None
    gone: Size | None
    limited: Size | None
    cost: Number | None
    cost_low: Number | None
    cost_high: Number | None
    oom: Name
    victims: Text
    incidents: Text
    started: Name
    seconds: Seconds
    provision: Seconds
    drive: Seconds
    collect: Seconds
    runs_before: Size
    skip: Text
    kernel: Name
    host: Name
    lab_version: Name
    judged_by: Name
    reproduce: Text


@dataclass(frozen=True)
class SessionRow:
    """A folder of runs, as its plan tells it; of a folder without one only the names are known.

    place     "" for the results folder itself, else one that was added;  folder  its name there
    planned   runs that were wanted;  problem  why its plan could not be read
    """

    __pydantic_config__ = STRICT

    place: Text
    folder: Name
    name: Name
    started: Name
    command: Text
    accelerator: Name
    pairs: Size
    shape: Text
    planned: Size
    problem: Text


THERE, PRUNED, UNREAD = "there", "pruned", "unread"


@dataclass(frozen=True)
class BundleRow:
    """Where a run's bundle lies, or lay: PLACE/FOLDER/NAME.

    key    of its run; "" for one that cannot be read
    state  THERE, PRUNED (its bytes are gone, its rows stay), or UNREAD
    size   of its evidence in bytes, as the manifest lists it
    why    it cannot be read; of one that was pruned: when
    """

    __pydantic_config__ = STRICT

    place: Text
    folder: Name
    name: Name
    key: Name
    state: Name
    size: Size
    why: Text


@dataclass(frozen=True)
class Told:
    """All rows of one run."""

    __pydantic_config__ = STRICT

    run: RunRow
    kernel: KernelRow
    host: HostRow
    findings: Annotated[tuple[FindingRow, ...], Field(max_length=FINDINGS)]


TOLD: TypeAdapter[Told] = TypeAdapter(Told)


def rows_of(result: RunResult, key: str, folder: str, judged_by: str) -> Told:
    """The rows of a run. `key` as `run_key` makes it; `folder` is that of a session that the bundle does not name."""
    manifest, verdict = result.manifest, result.verdict
    kernel, host = kernel_row(manifest.kernel), host_row(manifest.host)
    parts = manifest.seconds
    spent = result.timing.seconds if result.timing else parts.provision + parts.drive + parts.collect
    line, last, cost = line_of(kernel.release), verdict.ledger.last, verdict.cost
    findings, decided = verdict.findings, _deciding(verdict.word, verdict.findings)
    return Told(
        RunRow(
            key=key,
            run=name(manifest.run),
            session=name(manifest.session or folder),
            case_name=name(manifest.case),
            nic=name(manifest.nic),
            design=kernel.design,
            line=line,
            cell=cell_of(manifest.case, manifest.nic, kernel, line),
            repeat=manifest.repeat,
            predicted=name(manifest.predicted),
            word=verdict.word.value,
            surprise=int(result.disagrees),
            fault=int(verdict.kernel_fault),
            rule=decided.rule,
            why=decided.message,
            pointer=decided.pointer,
            held=_size(last.held if last else None),
            charged=_size(last.charged if last else None),
            escaped=_size(last.escape if last else None),
            gone=_size(last.gone if last else None),
            limited=_size(verdict.ledger.limit),
            cost=_finite(cost.instructions.value if cost else None),
            cost_low=_finite(cost.instructions.low if cost else None),
            cost_high=_finite(cost.instructions.high if cost else None),
            oom=verdict.oom.outcome.value,
            victims=text(" ".join(verdict.oom.victims)),
            incidents=_kinds(manifest.incidents),
            started=name(manifest.started),
            seconds=round(spent, 3),
            provision=parts.provision,
            drive=parts.drive,
            collect=parts.collect,
            runs_before=manifest.pair.runs_before,
            skip=text(manifest.skip),
            kernel=kernel.key,
            host=host.key,
            lab_version=name(manifest.lab_version),
            judged_by=judged_by[:12],
            reproduce=text(manifest.reproduce),
        ),
        kernel,
        host,
        _against(findings),
    )


def run_key(sha256: str) -> str:
    """The name of a run in the index, from the sha256 of its manifest."""
    return sha256[:32]


def line_of(release: str) -> str:
    """`6.12` of a kernel's release; all of a release that does not begin like one."""
    found = re.match(r"\d{1,4}\.\d{1,4}", release)
    return found[0] if found else release


def cell_of(case: str, nic: str, kernel: KernelRow, line: str) -> str:
    """What is compared over time: a case on a NIC profile and a line of kernels, of one design and built in one way.

    Not the very kernel: tonight's is another one than yesterday's, and to compare the two is the point.
    """
    return one_line("/".join((case, nic, "+".join((kernel.design, *kernel.fragments.split())), line)), TEXT)


def kernel_row(record: KernelRecord) -> KernelRow:
    values = {
        "name": name(record.name),
        "release": name(record.release),
        "design": name(record.design),
        "sha256": name(record.sha256),
        "config_sha256": name(record.config_sha256),
        "initrd_sha256": name(record.initrd_sha256),
        "base": text(record.base),
        "series": text(record.series),
        "fragments": text(" ".join(record.fragments)),
        "described": text(record.described),
    }
    return KernelRow(key=key_of(*values.values()), **values)


def host_row(record: HostRecord) -> HostRow:
    return _host(
        (record.node, record.system, record.cpu),
        (record.cpus, record.memory_mib),
        (record.qemu, record.libvirt, record.accelerator, record.connection),
    )


def old_host(accelerator: str) -> HostRow:
    """Of a record from before hosts were told."""
    return _host(("", "", ""), (0, 0), ("", "", accelerator, ""))


def _host(itself: tuple[str, str, str], size: tuple[int, int], runs: tuple[str, str, str, str]) -> HostRow:
    cpus, memory = (min(MOST, number) for number in size)
    node, system, cpu = map(text, itself)
    qemu, libvirt, accelerator, connection = map(name, runs)
    key = key_of(node, system, cpu, str(cpus), str(memory), qemu, libvirt, accelerator, connection)
    return HostRow(key, node, system, cpu, cpus, memory, qemu, libvirt, accelerator, connection)


def name(value: str) -> str:
    return one_line(value, NAME)


def text(value: str) -> str:
    return one_line(value, TEXT)


def _deciding(word: Word, findings: Iterable[Finding]) -> FindingRow:
    """The finding that gave the word; nothing for a PASS, to which all of them lead."""
    found = next((f for f in worst_first(tuple(findings)) if f.word is word), None)
    if found is None or word in (Word.PASS, Word.DONE):
        return FindingRow("", word.value, "", "")
    return _finding_row(found)


def _finding_row(finding: Finding) -> FindingRow:
    return FindingRow(name(finding.rule), finding.word.value, text(finding.message), name(finding.pointer))


def _against(findings: Iterable[Finding]) -> tuple[FindingRow, ...]:
    told = [f for f in worst_first(tuple(findings)) if f.word not in UNSEEN]
    return tuple(_finding_row(f) for f in told[:FINDINGS])


def _kinds(incidents: Iterable[Incident]) -> str:
    return clipped(" ".join(dict.fromkeys(incident.kind for incident in incidents)), TEXT)


def _size(value: int | None) -> int | None:
    """SQLite's integers have 63 bits and a sign; no guest has so many bytes."""
    return None if value is None else max(-MOST, min(MOST, value))


def _finite(value: float | None) -> float | None:
    return value if value is not None and abs(value) < float("inf") else None


def as_values(row: Any) -> dict[str, Any]:  # noqa: ANN401 - any row of this file
    """A row by its columns, in order."""
    return asdict(row)
