"""A bundle's bytes in, Evidence out. Opens nothing; the caller read the directory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from pydantic import ValidationError

from lab.errors import BadInput
from lab.evidence.console import parse_console
from lab.evidence.counts import parse_counts
from lab.evidence.manifest import FORMAT, FORMATS, FileRecord, Manifest
from lab.evidence.model import Evidence, GuestEvidence, ProgramLog
from lab.evidence.programs import parse_program
from lab.evidence.telemetry import longest_gap, lost, parse_checkpoints, parse_telemetry
from lab.evidence.timing import parse_timing
from lab.plan.nics import NICS

MANIFEST = "manifest.json"
GUEST_FILES = {
    "receiver": ("receiver/console.log", "receiver/telemetry.jsonl", "receiver/checkpoints.jsonl"),
    "sender": ("sender/console.log", "sender/telemetry.jsonl"),  # the driver takes no checkpoints there
}
PREFLIGHT = "preflight/client.jsonl"
COUNTS = "receiver/instructions.jsonl"
TIMING = "timing.json"
FIRST = "first.jsonl"
"""The checkpoint with which the first run of the pair began."""
REFERENCE = "reference"
"""Where the bundle of the reference kernel lies inside that of the kernel compared with it."""


def parse(files: Mapping[str, bytes]) -> Evidence:
    """The evidence in a bundle given as `{path inside the bundle: bytes}`.

    What is absent, altered or cannot be read becomes a sentence in `problems`; the rest is parsed all the same.
    Raises BadInput only when there is no manifest that this version of the lab can read.
    """
    manifest = read_manifest(files)
    altered = frozenset(path for path in manifest.files if path in files and not _same(files[path], manifest, path))
    names = [client.name for client in manifest.clients]
    return Evidence(
        manifest,
        receiver=guest_evidence("receiver", files),
        sender=guest_evidence("sender", files) if _has_sender(manifest) else None,
        clients=_programs("clients", names, files),
        senders=_programs("senders", names, files),
        preflight=_program("preflight", PREFLIGHT, files),
        problems=tuple(_problems(manifest, files, altered)),
        altered=altered,
        counts=parse_counts(files.get(COUNTS, b"")),
        reference=_reference(files),
        timing=parse_timing(files[TIMING]) if TIMING in files else None,
        first=next(iter(parse_checkpoints(files.get(FIRST, b"")).samples), None),
    )


def _reference(files: Mapping[str, bytes]) -> Evidence | None:
    inside = {p.removeprefix(f"{REFERENCE}/"): data for p, data in files.items() if p.startswith(f"{REFERENCE}/")}
    return parse(inside) if MANIFEST in inside else None


def read_manifest(files: Mapping[str, bytes]) -> Manifest:
    """The manifest alone. Raises BadInput naming every key that is wrong."""
    if MANIFEST not in files:
        raise BadInput([f"{MANIFEST}: absent"], hint="give the directory of one run, the one that holds manifest.json")
    try:
        manifest = Manifest.model_validate_json(files[MANIFEST])
    except ValidationError as error:
        raise BadInput([_sentence(e["loc"], e["msg"]) for e in error.errors()]) from error
    if manifest.format not in FORMATS:
        raise BadInput([f"{MANIFEST}: format {manifest.format}; this lab reads formats 1 to {FORMAT}"])
    return manifest


def record_of(data: bytes) -> FileRecord:
    """What the manifest says of a file: its size in bytes and its sha256."""
    return FileRecord(size=len(data), sha256=hashlib.sha256(data).hexdigest())


def _sentence(location: Iterable[object], message: str) -> str:
    where = ".".join(str(part) for part in location)
    return f"{MANIFEST}: {where + ': ' if where else ''}{message}"


def _same(data: bytes, manifest: Manifest, path: str) -> bool:
    return record_of(data) == manifest.files[path]


def _has_sender(manifest: Manifest) -> bool:
    """On `loopback` both ends live in the receiver. A NIC that the table has lost had a sender."""
    nic = NICS.get(manifest.nic)
    return nic is None or nic.link != "none"


def _needed(manifest: Manifest) -> Iterator[str]:
    """The files no judgement can do without."""
    yield from GUEST_FILES["receiver"]
    if _has_sender(manifest):
        yield from GUEST_FILES["sender"]
    for client in manifest.clients:
        yield f"clients/{client.name}.jsonl"
        yield f"senders/{client.name}.jsonl"
    yield PREFLIGHT
    if manifest.reference:
        yield COUNTS
        yield f"{REFERENCE}/{MANIFEST}"


def _problems(manifest: Manifest, files: Mapping[str, bytes], altered: frozenset[str]) -> Iterator[str]:
    for path in dict.fromkeys((*_needed(manifest), *manifest.files)):
        if path not in files:
            yield f"{path}: absent"
        elif path not in manifest.files:
            yield f"{path}: the manifest does not vouch for it"
        elif path in altered:
            listed = manifest.files[path]
            yield f"{path}: altered since it was collected ({len(files[path])} bytes, {listed.size} in the manifest)"


def guest_evidence(role: str, files: Mapping[str, bytes]) -> GuestEvidence:
    """What one guest left behind; a file that is absent is an empty one."""
    console = parse_console(f"{role}/console.log", files.get(f"{role}/console.log", b""))
    telemetry = parse_telemetry(files.get(f"{role}/telemetry.jsonl", b""))
    checkpoints = parse_checkpoints(files.get(f"{role}/checkpoints.jsonl", b""))
    samples = telemetry.samples
    return GuestEvidence(
        role,
        console,
        samples,
        checkpoints.samples,
        gap=longest_gap([s.t for s in samples]),
        missing=lost(samples),
        truncated=telemetry.truncated or checkpoints.truncated,
    )


def _programs(folder: str, names: Iterable[str], files: Mapping[str, bytes]) -> dict[str, ProgramLog]:
    logs = {name: _program(name, f"{folder}/{name}.jsonl", files) for name in names}
    return {name: log for name, log in logs.items() if log}


def _program(name: str, path: str, files: Mapping[str, bytes]) -> ProgramLog | None:
    return parse_program(name, path, files[path]) if path in files else None
