# SPDX-License-Identifier: GPL-2.0-only
"""The page holds what a command said, clean and without names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.kvm import page

NAMES = (("/home/ada", "~"), ("ada", "USER"), ("analytical", "HOST"))


def test_names_go_words_that_contain_them_stay() -> None:
    text = "/home/ada/lab by ada on analytical: adapter of /home/adam"
    assert page.cleaned(text, NAMES) == "~/lab by USER on HOST: adapter of /home/adam"


def test_root_is_no_name() -> None:
    assert page.cleaned("root=/dev/vda", [("root", "USER"), ("/", "~")]) == "root=/dev/vda"


def test_a_section_has_command_output_and_status() -> None:
    status, text = page.section([sys.executable, "-c", "print('\\x1b[2Jhello'); raise SystemExit(3)"])
    assert status == 3
    assert "hello" in text
    assert "\x1b" not in text
    assert "= 3 after" in text


def test_a_command_that_is_not_there_is_told() -> None:
    status, text = page.section(["no-such-command-of-ours"])
    assert status == 127
    assert "No such file" in text


def test_a_check_that_fails_is_the_exit_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "FACTS", (("echo", "fact"),))
    monkeypatch.setattr(page, "CHECKS", (("true",), ("false",)))
    assert page.main([str(tmp_path / "page")]) == 1
    assert "$ echo fact\n    fact" in (tmp_path / "page").read_text()
    monkeypatch.setattr(page, "CHECKS", (("true",),))
    assert page.main([str(tmp_path / "page")]) == 0
