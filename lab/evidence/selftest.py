"""selftest.json and the captures beside it: what one selftest left behind."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

from lab.errors import BadInput
from lab.evidence.bundle import guest_evidence
from lab.evidence.console import parse_console
from lab.evidence.ktap import Document, parse_ktap
from lab.evidence.ktaplines import MAX_BYTES
from lab.evidence.manifest import FileRecord, Incident, KernelRecord
from lab.evidence.model import Console, GuestEvidence
from lab.plan.names import ROLES

RECORD = "selftest.json"
OUTPUT = "output.log"
PEER_OUTPUT = "peer.log"
FORMAT = 1


class SelftestRecord(BaseModel):
    """How one selftest was run.

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
    return {
        name: FileRecord(size=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in sorted(files.items())
        if name != RECORD
    }


def parse_selftest(files: Mapping[str, bytes]) -> SelftestEvidence:
    """Raises BadInput when the record is absent or not understood; everything else that is wrong is evidence."""
    try:
        record = SelftestRecord.model_validate_json(files[RECORD])
    except KeyError as exc:
        raise BadInput([f"{RECORD} is not there"], hint="name a folder that `lab selftest` made") from exc
    except ValidationError as exc:
        raise BadInput([f"{RECORD}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in exc.errors()]) from exc
    output = files.get(OUTPUT, b"")
    read = output[:MAX_BYTES]
    known = file_records(files)
    altered = frozenset(n for n, vouched in record.files.items() if n in known and known[n] != vouched)
    roles = [role for role in ROLES if f"{role}/console.log" in files]
    # nobody looked at telemetry when records had the first format
    told = files if record.format > 1 else {n: data for n, data in files.items() if n.endswith("/console.log")}
    return SelftestEvidence(
        record,
        read.decode("utf-8", "replace").replace("\r", ""),
        parse_console(OUTPUT, read),
        parse_ktap(output),
        tuple(guest_evidence(role, told) for role in roles),
        tuple(
            f"{name}: {'altered since it was collected' if name in altered else 'absent'}"
            for name in record.files
            if name in altered or name not in known
        ),
        altered,
    )
