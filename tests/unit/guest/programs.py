# SPDX-License-Identifier: GPL-2.0-only
"""Starts the guest programs on this machine, against 127.0.0.1, and reads what they say."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.guestimage.programs import build

WORD = (1 << 64) - 1


@dataclass(frozen=True)
class Line:
    """One line of a program; a missing field is an error of the test."""

    fields: dict[str, object]

    @property
    def event(self) -> str:
        return str(self.fields.get("event", ""))

    def __getitem__(self, key: str) -> int:
        value = self.fields[key]
        assert isinstance(value, int)
        return value

    def text(self, key: str) -> str:
        value = self.fields[key]
        assert isinstance(value, str)
        return value


class Program:
    """A running guest program."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[Line] = []

    def read(self) -> Line | None:
        assert self.process.stdout is not None
        raw = self.process.stdout.readline()
        if not raw:
            return None
        self.lines.append(Line(json.loads(raw)))
        return self.lines[-1]

    def until(self, event: str) -> Line:
        """Reads on to the next line of this event."""
        while (line := self.read()) is not None:
            if line.event == event:
                return line
        raise AssertionError(f"no {event}: {[x.fields for x in self.lines]}")

    def tell(self, *commands: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{c}\n" for c in commands))
        self.process.stdin.flush()

    def end(self) -> tuple[Line, int]:
        """The last line and the exit status."""
        while self.read() is not None:
            pass
        return self.lines[-1], self.process.wait(timeout=60)


@dataclass(frozen=True)
class Tools:
    """The directory the programs were built into."""

    path: Path

    @contextmanager
    def start(self, name: str, *options: object) -> Iterator[Program]:
        argv = [str(self.path / name), *map(str, options)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield Program(process)
            finally:
                process.kill()

    def run(self, name: str, *options: object) -> tuple[Line, int]:
        """Its last line and exit status, with empty standard input."""
        done = subprocess.run(
            [str(self.path / name), *map(str, options)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return Line(json.loads(done.stdout.splitlines()[-1])), done.returncode

    @contextmanager
    def client(self, behaviour: str, *options: object) -> Iterator[tuple[Program, int]]:
        """A client that listens, and its port."""
        with self.start("zc-client", "--behaviour", behaviour, "--name", "t", "--port", 0, *options) as client:
            yield client, client.until("ready")["port"]

    @contextmanager
    def sender(self, port: int, *options: object, to: str = "127.0.0.1") -> Iterator[Program]:
        with self.start("zc-sender", "--to", to, "--port", port, *options) as sender:
            yield sender


def built(out: Path, *folders: Path) -> Tools:
    """The programs of these folders of sources, as guests have them."""
    if not (shutil.which("gcc") and shutil.which("make")):
        pytest.skip("the guest programs are built with gcc and make")
    for folder in folders:
        build(folder, out)
    return Tools(out)


def _mix(x: int) -> int:
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    return x ^ (x >> 27)


def pattern(seed: int, socket: int, size: int) -> bytes:
    """The payload by its definition in pattern.h, written a second time."""
    fold, step = 0x94D049BB133111EB, 0x9E3779B97F4A7C15
    base = _mix((_mix((seed + fold) & WORD) * fold + socket * step) & WORD)
    words = (_mix((base + i * step) & WORD).to_bytes(8, "little") for i in range(-(-size // 8)))
    return b"".join(words)[:size]


def check_counters(line: Line) -> None:
    """What must hold on every line, whatever could be mapped."""
    assert line["delivered"] == line["mapped"] + line["copied"]
    assert line["mapped"] % 4096 == line["mapped_now"] % 4096 == line["pinned"] % 4096 == 0
    assert line["distinct"] <= line["mapped_now"] + line["pinned"]
    assert line["held"] == line["distinct"] + line["anon"]
