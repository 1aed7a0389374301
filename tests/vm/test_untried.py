# SPDX-License-Identifier: GPL-2.0-only
"""Nothing of what was asked for could be tried: an exit code of its own, and the reason, once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.vm.sessions import pytest_argv, running

LAB = str(Path(sys.executable).with_name("lab"))
SUBJECT = ("--kernel", "6.12", "--nic", "loopback", "--nic", "virtio")
WHY = "n/a for stock: it has no pool of network pages to count"


def test_lab_run_says_why_and_ends_with_3(tmp_path: Path) -> None:
    argv = [LAB, "run", "visible", *SUBJECT, "--results", str(tmp_path / "r")]
    with running(tmp_path, argv, log=tmp_path / "log") as session:
        assert session.end() == 3, session.text
    assert session.text.count(WHY) == 1, session.text


def test_pytest_ends_as_when_it_has_collected_nothing(tmp_path: Path) -> None:
    argv = pytest_argv("-n", "1", "--lab-names", "visible", *SUBJECT, "--results", str(tmp_path / "r"))
    with running(tmp_path, argv, log=tmp_path / "log") as session:
        assert session.end() == pytest.ExitCode.NO_TESTS_COLLECTED, session.text
