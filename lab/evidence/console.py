# SPDX-License-Identifier: GPL-2.0-only
"""A serial console: bytes in, OOM kills, kernel faults, canaries and boots out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lab.evidence import oom, traces
from lab.evidence.model import Canary, Console, Grade, Splat
from lab.evidence.oom import Kills
from lab.evidence.records import Reader, Record
from lab.evidence.signs import SIGNS, TAINTED, sign_splat, taint_splat
from lab.evidence.traces import Traces
from lab.text.words import titled

MOST_SPLATS = 1000
"""More are counted, not kept, but for a hundred that the kernel died of."""
MOST_CANARIES = 1000
BOOT_LINES = 50

CANARY = "lab-canary: "
BOOTS = ("Linux version ", "Booting the kernel", "Decompressing Linux")
_CANARY = re.compile(r"^lab-canary: ([0-9a-z-]{1,64})\s*$")
_BOOT = re.compile(r"^Linux version \d{1,3}\.\d")
_LOADER = re.compile(r"^Booting the kernel|^Decompressing Linux")
"""arch/x86/boot/compressed/misc.c; it prints before a kernel has stamps."""

_NEEDLES = tuple(
    dict.fromkeys(
        word.encode()
        for word in (*(sign.needle for sign in SIGNS), *oom.NEEDLES, *traces.NEEDLES, *BOOTS, CANARY, TAINTED)
    )
)
_GRAVEST = tuple(
    word.encode()
    for word in (
        "Kernel panic",
        "BUG: ",
        "BUG at ",
        "WARNING: CPU",
        "Oops: ",
        "INFO: rcu",
        "INFO: task",
        "Call Trace:",
        "Call trace:",
        BOOTS[0],
        CANARY,
    )
)
"""For the middle of a console that is too large to search for every needle."""


@dataclass
class _Reading:
    """What was found so far."""

    reader: Reader
    splats: list[Splat] = field(default_factory=list)
    kills: Kills = field(default_factory=Kills)
    canaries: list[tuple[Record, str]] = field(default_factory=list)
    boots: list[Record] = field(default_factory=list)
    faulted: bool = False
    dropped: int = 0

    def add(self, splat: Splat | None) -> None:
        if splat is None or (self.splats and self.splats[-1] == splat):
            return  # what stands where two pieces of a long line meet was read twice
        if len(self.splats) >= MOST_SPLATS + (MOST_SPLATS // 10 if splat.fatal else 0):
            self.dropped += 1
            return
        self.faulted |= splat.grade is Grade.FAULT
        self.splats.append(splat)

    def take(self, record: Record, follow: Traces) -> None:
        if not record.text or record.text.isspace():
            return
        self.kills.take(record)
        if self.kills.begins(record):
            follow.told(record)
        self._landmark(record)
        if self.faulted and record.text.startswith("---[ end Kernel panic"):
            return  # the closing line of what is told already
        splat = sign_splat(record)
        if splat is None:
            self.add(follow.take(record))
            self.add(None if self.faulted else taint_splat(record))
            return
        if splat.grade is Grade.FAULT:
            follow.fault(record)
        elif splat.kind == "allocation":
            follow.told(record)
        self.add(splat)

    def _landmark(self, record: Record) -> None:
        canary = _CANARY.match(record.text) if record.t is not None else None
        if canary and len(self.canaries) < MOST_CANARIES:
            self.canaries.append((record, canary[1]))
        elif canary:
            self.reader.exceeds(f"more than {MOST_CANARIES} canaries: those after them were not counted")
        boot = record.kernel and _BOOT.match(record.text)
        if (boot or _LOADER.search(record.text)) and len(self.boots) < MOST_SPLATS:
            self.boots.append(record)


def parse_console(path: str, data: bytes) -> Console:
    """Every fault and every OOM kill, with line numbers from 1. Never raises: any bytes are a console."""
    reader = Reader.of(data)
    reading = _Reading(reader)
    follow = Traces(reader.before)
    for record in reader.records(_NEEDLES, _GRAVEST):
        reading.take(record, follow)
    reading.add(follow.done())
    kills = reading.kills.done()
    canaries, falls = _canaries(reader, reading.canaries)
    boots = sum(_BOOT.match(record.text) is not None for record in reading.boots)
    for splat in _second_boots(reader, reading.boots, falls):
        reading.add(splat)
    if reading.dropped or reading.kills.dropped:
        reader.exceeds(f"{reading.dropped} reports and {reading.kills.dropped} OOM kills more than are kept")
    lines = data.count(b"\n") + (not data.endswith(b"\n") and data != b"")
    splats = tuple(sorted(reading.splats, key=lambda s: s.line))
    return Console(path, kills, splats, lines, boots, canaries, reader.bound)


def _canaries(
    reader: Reader, found: Sequence[tuple[Record, str]]
) -> tuple[tuple[Canary, ...], Sequence[tuple[int, float, float]]]:
    marks = [reader.data.find(f"{CANARY}{token}".encode(), record.at) for record, token in found]
    counts, falls = reader.stamps(marks)
    canaries = (
        Canary(token, record.line, max(0, shown - 1)) for (record, token), shown in zip(found, counts, strict=False)
    )
    return tuple(canaries), [(reader.line_of(at), latest, t) for at, latest, t in falls[:10]]


def _second_boots(
    reader: Reader, boots: Sequence[Record], falls: Sequence[tuple[int, float, float]]
) -> Iterator[Splat]:
    """A kernel that starts again without a word died of something. A boot tells of itself within a few lines."""
    told: list[int] = []
    versions = [record for record in boots if _BOOT.match(record.text)]
    loaders = [record for record in boots if not _BOOT.match(record.text) and reader.has_stamp_before(record.at)]
    for record in (*versions[1:], *loaders):
        if all(abs(record.line - line) > BOOT_LINES for line in told):
            told.append(record.line)
            title = titled(f"the kernel started again: {record.text}")
            yield Splat("reboot", title, True, record.line, record.t)
    for line, latest, t in falls:
        if all(abs(line - other) > BOOT_LINES for other in told):
            title = f"the kernel's time stamps fall from {latest:.1f} s back to {t:.1f} s: did it start again?"
            yield Splat("reboot", title, False, line, t, Grade.UNEXPLAINED)
