# SPDX-License-Identifier: GPL-2.0-only
"""Stored sessions to look at: real bundle bytes, judged by the real rules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lab.cli import assembled
from lab.contracts import BootableKernel, GuestImage
from lab.host.paths import cache_root
from lab.plan.matrix import Run
from lab.plan.session import PLAN_FILE, SessionPlan, dump
from tests.unit.verdict.builder import story
from tests.unit.verdict.machine import KERNELS, Kernel

Lab = Callable[..., Result]
APP = assembled()


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Lab:
    """Run `lab ARGS...` in this process, in an empty folder, 80 columns wide."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAB_KNOWN", "")
    monkeypatch.setenv("LAB_CONFIG", "")
    for name, value in {"COLUMNS": "80", "TERM": "dumb", "LAB_RESULTS": str(tmp_path / "results")}.items():
        monkeypatch.setenv(name, value)
    return lambda *args: CliRunner().invoke(APP, [str(arg) for arg in args])


def write_run(folder: Path, case: str, *, predicted: str = "PASS", kernel: Kernel = KERNELS["put-hook"]) -> Path:
    """A bundle in `folder`, named like the run it holds."""
    told = story(case, kernel)
    told.manifest |= {"predicted": predicted, "run": folder.name}
    for name, data in told.files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def write_session(root: Path, name: str, cases: tuple[str, ...]) -> tuple[Path, list[Path]]:
    """A session folder with its plan, and one bundle per case, each as predicted."""
    runs = tuple(Run(name, "k", "stock", "e1000e-split", case, 0) for case in cases)
    kernel = BootableKernel("k", Path("/nowhere/boot"), Path("/nowhere/initrd"), "6.12.0-lab", "stock", "0" * 64, "")
    image = GuestImage(Path("/nowhere/image"), "0" * 64, "key")
    plan = SessionPlan(
        name=name,
        started="2026-01-01T00:00:00+00:00",
        command="lab run",
        folder=Path("/nowhere") / name,
        sockets=Path("/nowhere/s"),
        connect="embed",
        accelerator="tcg",
        pairs=1,
        image=image,
        kernels=(kernel,),
        runs=runs,
    )
    folder = root / name
    folder.mkdir(parents=True)
    (folder / PLAN_FILE).write_bytes(dump(plan, cache_root()))
    return folder, [write_run(folder / run.id, run.case) for run in runs]
