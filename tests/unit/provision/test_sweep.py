# SPDX-License-Identifier: GPL-2.0-only
"""Ends what outlived its worker: processes that look like a QEMU of this session, and no others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.provision.sweep import left_behind, sweep

Start = subprocess.Popen[bytes]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[dict[str, Start]]:
    """Processes called qemu-system-x86_64, one of this session, one of another; and one with another name."""
    emulator = tmp_path / "qemu-system-x86_64"
    emulator.symlink_to(sys.executable)
    runtime = tmp_path / "lab-one"

    def start(name: str, program: Path, where: Path) -> Start:
        work = "print('up', flush=True); input()"
        argv = [str(program), "-c", work, "-name", f"guest=lab-{name},debug-threads=on", f"{where}/s/{name}-l"]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"  # its command line is not there from the first moment
        return process

    made = {
        "ours": start("ours", emulator, runtime),
        "theirs": start("theirs", emulator, tmp_path / "lab-one-more"),
        "python": start("python", Path(sys.executable), runtime),
    }
    yield made
    for process in made.values():
        process.kill()
        process.communicate()


def test_only_the_sessions_own_guests_are_ended(started: dict[str, Start], tmp_path: Path) -> None:
    runtime = tmp_path / "lab-one"
    assert left_behind(runtime) == {started["ours"].pid: "lab-ours"}
    assert sweep(runtime) == ("lab-ours",)
    assert started["ours"].wait(20) == -9
    assert started["theirs"].poll() is None
    assert started["python"].poll() is None
    assert sweep(runtime) == ()
