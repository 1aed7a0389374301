# SPDX-License-Identifier: GPL-2.0-only
"""What a selftest alone leaves in its bundle: test.json, which tells how it was run, and its output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, ValidationError

from lab.evidence.console import parse_console
from lab.evidence.files import files_of
from lab.evidence.ktap import Document, parse_ktap
from lab.evidence.ktaplines import MAX_BYTES
from lab.evidence.manifest import Argv, Name, Status, Text, Told
from lab.evidence.model import Console, Evidence
from lab.verdict.model import Part
from suites.selftests.parts import parts_of
from suites.selftests.table import OUTPUT, TEST, Selftest


class Brought(BaseModel):
    """What was made of a test on the host, before any guest was there.

    source   the tree that it comes from, and the version of that
    seconds  its deadline
    cases    its cases as its source lists them, where it announces no plan
    asked    the options that its directory's `config` asks for
    built    why it could not be built; "" when it was
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Text
    source_version: Name
    seconds: int
    cases: tuple[Name, ...] = ()
    asked: str = ""
    built: Told = ""


class TestRecord(BaseModel):
    """How one selftest was run.

    source     the tree that it comes from
    built      why it could not be built; "" when it was
    skip       why it does not apply here; "" when it does
    cases      its cases as its source lists them, where it announces no plan
    argv       in the receiver; peer_argv in the sender, empty when nothing ran there
    status     its exit status; 128 + N when signal N killed it; None when nobody saw it end, or it was not waited for
    lacking    options that the test's directory asks for and this kernel has not built in, as far as the guest tells
    timed_out  what was waited for when its time was up; "" when it was in time
    """

    __test__ = False  # not one of pytest's
    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Text = ""
    source_version: Name = ""
    built: Told = ""
    skip: Told = ""
    cases: tuple[Name, ...] = ()
    argv: Argv = ()
    peer_argv: Argv = ()
    status: Status | None = None
    peer_status: Status | None = None
    lacking: tuple[Name, ...] = ()
    timed_out: Told = ""


@dataclass(frozen=True)
class Selftold:
    """The same, parsed; what `evidence.own` is to the rules of this experiment.

    test     its row of the table, or what kselftest's conventions make of it
    record   None where there is none that can be read; `problem` says why
    said     the kernel's words in the test's output, read as those of a console
    tainted  by role, what /proc/sys/kernel/tainted said; bundles of before have no other word of it
    """

    test: Selftest
    record: TestRecord | None
    problem: str
    output: str
    said: Console
    documents: tuple[Document, ...]
    parts: tuple[Part, ...]
    tainted: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def told(self) -> Mapping[str, str | int | None]:
        if self.record is None:
            return {}
        return {"source": self.record.source, "status": self.record.status}


def selftold(evidence: Evidence, test: Selftest) -> Selftold:
    """What a selftest left in its bundle. What cannot be read is for the rules to say."""
    record, problem = _record(evidence.files)
    return told_of(test, record, problem, files_of(evidence.files).get(OUTPUT, b""))


def told_of(
    test: Selftest,
    record: TestRecord | None,
    problem: str,
    output: bytes,
    tainted: Mapping[str, tuple[int, ...]] | None = None,
) -> Selftold:
    documents = parse_ktap(output)
    text = output[:MAX_BYTES].decode("utf-8", "replace").replace("\r", "")
    said = parse_console(OUTPUT, output[:MAX_BYTES])
    return Selftold(test, record, problem, text, said, documents, parts_of(documents, OUTPUT), tainted or {})


def _record(files: Mapping[str, bytes]) -> tuple[TestRecord | None, str]:
    if TEST not in files:
        return None, f"{TEST}: absent: nobody tells how the test was run"
    try:
        return TestRecord.model_validate_json(files[TEST]), ""
    except ValidationError as exc:
        (first, *_) = exc.errors(include_input=False, include_url=False)
        return None, f"{TEST}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
