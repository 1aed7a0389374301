# SPDX-License-Identifier: GPL-2.0-only
"""Bundles of real runs, a case each (Debian's 6.12.117, e1000e-split), as lines that a test can spoil; and one of a
kernel that charges twice.

A bundle that was spoilt is sealed again: it is not damaged, but tells of another kernel, client or lab.
"""

from __future__ import annotations

import functools
import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from lab.evidence.bundle import parse
from lab.evidence.seal import KEY, digest_of
from lab.experiments.found import case_named
from lab.units import PAGE_SIZE
from lab.verdict.decide import judge
from lab.verdict.model import Verdict

BUNDLES = Path(__file__).with_name("bundles.tar.xz")
MANIFEST = "manifest.json"
Json = dict[str, Any]


@functools.cache
def _packed() -> dict[str, dict[str, bytes]]:
    found: dict[str, dict[str, bytes]] = {}
    with tarfile.open(BUNDLES) as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None:
                case, _, path = member.name.partition("/")
                found.setdefault(case, {})[path] = file.read()
    return found


class Told:
    """One bundle. What is changed in `lines` and `manifest` is what it says."""

    def __init__(self, case: str) -> None:
        self.files = dict(_packed()[case])
        self.manifest: Json = json.loads(self.files.pop(MANIFEST))
        self.lines = {p: [json.loads(x) for x in d.splitlines()] for p, d in self.files.items() if p.endswith(".jsonl")}

    def sealed(self) -> dict[str, bytes]:
        """Its bytes."""
        files = {p: d for p, d in self.files.items() if p not in self.lines}
        files |= {p: b"".join(json.dumps(x).encode() + b"\n" for x in lines) for p, lines in self.lines.items()}
        listed = {p: {"size": len(d), "sha256": hashlib.sha256(d).hexdigest()} for p, d in files.items()}
        fields = {**{k: v for k, v in self.manifest.items() if k != KEY}, "files": listed}
        return {**files, MANIFEST: json.dumps({**fields, KEY: digest_of(fields)}).encode()}

    def verdict(self) -> Verdict:
        return judge(parse(self.sealed()), case_named(self.manifest["case"]))

    def client(self, name: str, *events: str) -> list[Json]:
        """The lines of a client; those of these events only."""
        return [x for x in self.lines[f"clients/{name}.jsonl"] if not events or x["event"] in events]

    def checkpoint(self, name: str) -> Json:
        found: Json = next(x for x in self.lines["sender/checkpoints.jsonl"] if x["name"] == name)
        return found

    def samples(self, since: float, until: float) -> Iterator[Json]:
        """Telemetry and checkpoints of the sender between two moments."""
        for path in ("sender/telemetry.jsonl", "sender/checkpoints.jsonl"):
            yield from (x for x in self.lines[path] if since <= x["t"] <= until)

    def charge(self, name: str, more: int, *, sock: bool = False, since: float, until: float) -> None:
        """Say that a client was charged that much more (or less) in between; on every level, and page by page."""
        for sample in self.samples(since, until):
            group = sample["cg"].get(name)
            if group is None:
                continue
            for level in filter(None, (group, sample.get("parent"))):
                level["current"] += more
                level["peak"] = max(level["peak"], level["current"])
            if sock:
                group["stat"]["sock"] += more
            elif "pages" in sample:
                sample["pages"]["charged"][str(group["ino"])] += more // PAGE_SIZE


def spoilt(case: str, change: Callable[[Told], None]) -> Told:
    told = Told(case)
    change(told)
    return told
