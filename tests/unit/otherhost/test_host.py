# SPDX-License-Identifier: GPL-2.0-only
"""Another suite of Debian as a host: what is refused, what is run in it, and what is told of it."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.host import __main__ as host

HERE = {"qemu": "10.0.13", "libvirt": "11.3.0", "machine": "pc-q35-7.2", "accelerator": "tcg"}


def ran(case: str, verdict: str = "FAIL", **versions: str) -> dict[str, Any]:
    kernel = {"release": "6.12.117"}
    about = {"host": {**HERE, **versions}, "kernel": kernel, "case": case, "nic": "virtio"}
    return {**about, "verdict": verdict, "predicted": "FAIL"}


def test_a_row_for_each_set_of_versions_and_a_line_for_each_other_word() -> None:
    runs = [ran("hold"), ran("pin"), ran("hold", "MISS", qemu="11.1.3", machine="pc-q35-10.0")]
    assert host.told(runs) == [
        "| 10.0.13 | 11.3.0 | pc-q35-7.2 | tcg | 6.12.117 | 2 |",
        "| 11.1.3 | 11.3.0 | pc-q35-10.0 | tcg | 6.12.117 | 1 |",
        "hold on virtio: MISS, predicted FAIL",
    ]


@pytest.mark.parametrize(("suite", "uid"), [("../etc", 0), ("trixie", 1000)])
def test_what_is_refused_leaves_nothing(
    suite: str, uid: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert host.main([suite]) == 2
    assert capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("script", "limit", "bad"), [("exit 0", 60, False), ("exit 3", 60, True), ("exec sleep 600", 0.2, True)]
)
def test_a_step_is_well_that_ends_in_time_with_0(
    script: str, limit: float, monkeypatch: pytest.MonkeyPatch, *, bad: bool
) -> None:
    monkeypatch.setattr(host, "entering", lambda _root, _argv: ["sh", "-c", script])
    assert host._play(Path("/none"), host.Step("x", ("x",), timedelta(seconds=limit))) is bad


def test_proxies_go_along_and_nothing_else_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("LAB_CACHE", "/cache")
    argv = host.entering(Path("/chroot"), ["make", "setup"])
    assert argv[2:5] == ["/chroot", "env", "-i"]
    assert "https_proxy=http://proxy:3128" in argv
    assert not [word for word in argv if word.startswith("LAB_CACHE")]
    assert argv[-2:] == ["make", "setup"]


def test_the_script_that_enters_is_one(tmp_path: Path) -> None:
    script = host.entering(tmp_path, ["true"])[1]
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
