# SPDX-License-Identifier: GPL-2.0-only
"""Captures that somebody has a hand in, and those that grow too fast."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.plan.channels import Cap
from lab.provision.growing import Growing

CAP = Cap("console", size=1000, rate=10, lines=50, line_rate=1, width=200)


@pytest.fixture
def capture(tmp_path: Path) -> Growing:
    """It has said a line, which was seen."""
    path = tmp_path / "console.log"
    path.write_bytes(b"Linux version 6.12\nWARNING: CPU: 0\n")
    made = Growing(path, CAP)
    made.look(0.0)
    return made


def check(capture: Growing) -> tuple[str, str]:
    capture.look(1.0)
    capture.proved()
    return capture.trouble or ("", "")


def test_one_that_grows_is_well(capture: Growing) -> None:
    with capture.path.open("ab") as file:
        file.write(b"more\nhalf a li")
    assert check(capture) == ("", "")
    assert capture.size == capture.path.stat().st_size


def test_one_that_is_not_there_yet_is_well(tmp_path: Path) -> None:
    capture = Growing(tmp_path / "instructions.jsonl", CAP)
    capture.look(0.0)
    (tmp_path / "instructions.jsonl").write_bytes(b"{}\n")
    assert check(capture) == ("", "")


def test_a_cut_is_told(capture: Growing) -> None:
    os.truncate(capture.path, 19)
    assert check(capture) == ("host", "console.log shrank from 35 to 19 bytes while the guest wrote it")
    with capture.path.open("ab") as file:
        file.write(b"a" * 100)
    assert check(capture)[1].startswith("console.log shrank")  # what comes later does not make it good


def test_a_cut_that_was_filled_up_meanwhile_is_told(capture: Growing) -> None:
    os.truncate(capture.path, 19)
    with capture.path.open("ab") as file:
        file.write(b"login: \n" * 10)
    assert check(capture) == ("host", "console.log was changed after the guest had written it")


def test_a_flipped_byte_is_told(capture: Growing) -> None:
    with capture.path.open("r+b") as file:
        file.seek(19)
        file.write(b"X")
    assert check(capture) == ("host", "console.log was changed after the guest had written it")


def test_a_removed_one_is_told(capture: Growing) -> None:
    capture.path.unlink()
    assert check(capture) == ("host", "console.log was removed while the guest wrote it")


def test_a_replaced_one_is_told(capture: Growing) -> None:
    other = capture.path.with_name("other")
    other.write_bytes(capture.path.read_bytes() * 2)
    other.rename(capture.path)
    assert check(capture) == ("host", "console.log was replaced while the guest wrote it")


def test_one_that_cannot_be_read_proves_nothing(capture: Growing, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_args: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Path, "open", refused)
    capture.proved()
    assert capture.trouble == ("host", "console.log cannot be read: Too many open files")


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"a" * 99 + b"\n", "MiB at once"), (b"\n", "more than 50 lines at once"), (b"a" * 201, "a line of more than")],
)
def test_a_flood_is_told(capture: Growing, data: bytes, why: str) -> None:
    with capture.path.open("ab") as file:
        file.write(data * (1 if len(data) > 200 else 60))
    kind, detail = check(capture)
    assert kind == "flood"
    assert why in detail
    assert detail.startswith("the console was given")
