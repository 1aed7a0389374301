# SPDX-License-Identifier: GPL-2.0-only
"""A bundle's bytes in, Evidence out. Opens nothing; the caller read the directory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from pydantic import ValidationError

from lab.contracts import MANIFEST
from lab.errors import BadInput
from lab.evidence import bounds
from lab.evidence.console import parse_console
from lab.evidence.counts import parse_counts
from lab.evidence.files import Files, Inside, files_of, record_of
from lab.evidence.lines import exceeded
from lab.evidence.manifest import FORMATS, Manifest
from lab.evidence.model import Evidence, GuestEvidence, ProgramLog
from lab.evidence.names import FIRST, INSTRUCTIONS, REFERENCE, TIMING
from lab.evidence.programs import parse_program
from lab.evidence.seal import is_as_written
from lab.evidence.telemetry import longest_gap, lost, parse_checkpoints, parse_telemetry
from lab.evidence.timing import out_of_bounds, parse_timing
from lab.plan.names import ROLES, Role, peers_folder
from lab.plan.nics import NICS
from lab.text.words import clipped

__all__ = ["MANIFEST", "parse", "read_manifest", "record_of"]

GUEST_FILES: Mapping[str, tuple[str, ...]] = {
    role: (f"{role}/console.log", f"{role}/telemetry.jsonl") for role in ROLES
}
PREFLIGHT = "preflight/client.jsonl"

MOST_TOLD = 100
"""Sentences about one bundle's files, and about one manifest: a reader has had enough then."""


def parse(files: Mapping[str, bytes]) -> Evidence:
    """The evidence in a bundle given as `{path inside the bundle: bytes}`.

    What is absent, altered, beyond a bound or cannot be read becomes a sentence in `problems`; the rest is parsed all
    the same. Raises BadInput only when there is no manifest that this version of the lab can read.
    """
    given = files_of(files)
    return _parse(given, _reference(given))


def _parse(given: Files, reference: Evidence | None = None) -> Evidence:
    manifest = read_manifest(given)
    files = Reading(given)
    names = [client.name for client in manifest.clients]
    timing = files.get(TIMING) if TIMING in manifest.files else None
    receiver = guest_evidence("receiver", files)
    sender = guest_evidence("sender", files) if _has_sender(manifest) else None
    clients, peers = _programs("clients", names, files), _programs(peers_folder(manifest.tested), names, files)
    preflight = _program("preflight", PREFLIGHT, files)
    counts = parse_counts(files.get(f"{_tested(manifest)}/{INSTRUCTIONS}", b""))
    first = next(iter(parse_checkpoints(files.get(FIRST, b""), _tested(manifest)).samples), None)
    as_written = is_as_written(manifest, given[MANIFEST])
    altered = _altered(manifest, given) if as_written else frozenset((MANIFEST, *given))
    return Evidence(
        manifest,
        receiver=receiver,
        sender=sender,
        clients=clients,
        peers=peers,
        preflight=preflight,
        problems=_enough(_problems(manifest, given, altered, files.bounds)),
        altered=altered,
        counts=counts,
        reference=reference,
        timing=parse_timing(timing) if timing is not None else None,
        first=first,
        files=given,
    )


class Reading(Mapping[str, bytes]):
    """Files as the parsers ask for them; `bounds` are those that what they were given exceeds, as sentences."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self.bounds: list[str] = []

    def __getitem__(self, path: str) -> bytes:
        data = self._files[path]
        lines = exceeded(data) if path.endswith(".jsonl") else out_of_bounds(data) if path == TIMING else ""
        told = (self._files.too_large(path), lines)
        self.bounds += [f"{path}: too much to be read: {what}" for what in told if what]
        return data

    def __contains__(self, path: object) -> bool:
        return path in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _reference(files: Files) -> Evidence | None:
    """The bundle inside a bundle; what lies inside that one is nobody's reference."""
    inside = Inside(files, REFERENCE)
    return _parse(inside) if MANIFEST in inside else None


def _enough(problems: Iterable[str]) -> tuple[str, ...]:
    told = tuple(islice(problems, MOST_TOLD + 1))
    return told if len(told) <= MOST_TOLD else (*told[:MOST_TOLD], f"{MANIFEST}: more problems than {MOST_TOLD}")


def read_manifest(files: Mapping[str, bytes]) -> Manifest:
    """The manifest alone. Raises BadInput naming every key that is wrong."""
    given = files_of(files)
    if MANIFEST not in given:
        problems = [problem for problem in given.problems if problem.startswith(f"{MANIFEST}: ")]
        hint = "give the directory of one run, the one that holds manifest.json"
        raise BadInput(problems or [f"{MANIFEST}: absent"], hint=hint)
    data = given[MANIFEST]
    if beyond := given.too_large(MANIFEST):
        raise BadInput([f"{MANIFEST}: too much to be read: {beyond}"])
    try:
        manifest = Manifest.model_validate_json(data)
    except ValidationError as error:
        told = [_sentence(e["loc"], e["msg"]) for e in error.errors(include_input=False, include_url=False)]
        raise BadInput(_enough(told)) from error
    if manifest.format not in FORMATS:
        known = " and ".join(map(str, FORMATS))
        raise BadInput([f"{MANIFEST}: format {manifest.format}; this lab reads formats {known}"])
    return manifest


def _sentence(location: Iterable[object], message: str) -> str:
    where = ".".join(clipped(str(part), bounds.PATH) for part in location)
    return f"{MANIFEST}: {where + ': ' if where else ''}{clipped(message, bounds.PATH)}"


def _altered(manifest: Manifest, files: Files) -> frozenset[str]:
    return frozenset(path for path, listed in manifest.files.items() if path in files and files.record(path) != listed)


def _has_sender(manifest: Manifest) -> bool:
    """On `loopback` both ends live in the receiver. A NIC that the table has lost had a sender."""
    nic = NICS.get(manifest.nic)
    return nic is None or nic.link != "none"


def _tested(manifest: Manifest) -> Role:
    """The folder of the guest under test; of the only guest there is."""
    return manifest.tested if _has_sender(manifest) else "receiver"


def _needed(manifest: Manifest) -> Iterator[str]:
    """The files no judgement can do without."""
    yield from GUEST_FILES["receiver"]
    if _has_sender(manifest):
        yield from GUEST_FILES["sender"]
    yield f"{_tested(manifest)}/checkpoints.jsonl"
    for client in manifest.clients:
        yield f"clients/{client.name}.jsonl"
        yield f"{peers_folder(manifest.tested)}/{client.name}.jsonl"
    if manifest.clients:
        yield PREFLIGHT
    if manifest.reference:
        yield f"{_tested(manifest)}/{INSTRUCTIONS}"
        yield f"{REFERENCE}/{MANIFEST}"


def _problems(
    manifest: Manifest, files: Files, altered: frozenset[str], bounds_exceeded: Iterable[str]
) -> Iterator[str]:
    if MANIFEST in altered:
        yield f"{MANIFEST}: altered since it was written: nothing in it, and no file it vouches for, is evidence"
    yield from files.problems
    yield from bounds_exceeded
    told = {problem.partition(": ")[0] for problem in files.problems}
    for path in dict.fromkeys((*_needed(manifest), *manifest.files)):
        if path not in files:
            if path not in told:
                yield f"{path}: absent"
        elif path not in manifest.files:
            yield f"{path}: the manifest does not vouch for it"
        elif path in altered and MANIFEST not in altered and path not in told:
            size, listed = files.record(path).size, manifest.files[path]
            yield f"{path}: altered since it was collected ({size} bytes, {listed.size} in the manifest)"


def guest_evidence(role: str, files: Mapping[str, bytes]) -> GuestEvidence:
    """What one guest left behind; a file that is absent is an empty one."""
    console = parse_console(f"{role}/console.log", files.get(f"{role}/console.log", b""))
    telemetry = parse_telemetry(files.get(f"{role}/telemetry.jsonl", b""), role)
    checkpoints = parse_checkpoints(files.get(f"{role}/checkpoints.jsonl", b""), role)
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
