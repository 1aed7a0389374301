# SPDX-License-Identifier: GPL-2.0-only
"""lab.toml: which file is read, what wins over what, and all that is wrong with one told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.cli.settings import settings_file
from lab.errors import BadInput
from tests.unit.cli.conftest import Lab, write_session

NAME = "20260101-000000-aaaa"


@pytest.fixture
def here(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder where the user is; nothing chooses a file, and his configuration is empty."""
    monkeypatch.delenv("LAB_CONFIG")
    monkeypatch.delenv("LAB_RESULTS")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def test_the_first_file_that_is_there_is_read(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_file() is None
    own = here / "config" / "lab" / "lab.toml"
    own.parent.mkdir(parents=True)
    own.touch()
    assert settings_file() == own
    (here / "lab.toml").touch()
    assert settings_file() == here / "lab.toml"
    monkeypatch.setenv("LAB_CONFIG", str(own))
    assert settings_file() == own
    monkeypatch.setenv("LAB_CONFIG", "")
    assert settings_file() is None
    monkeypatch.setenv("LAB_CONFIG", "/nosuch.toml")
    with pytest.raises(BadInput, match=r"LAB_CONFIG=/nosuch\.toml: there is no such file"):
        settings_file()


def test_what_is_typed_wins_over_the_variable_and_that_over_the_file(
    lab: Lab, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("typed", "variable", "file"):
        write_session(here / folder, f"{NAME}-{folder}", ("hold",))
    (here / "lab.toml").write_text('[show]\nresults = "file"\njson = true\n')
    shown = lab("show")
    assert shown.exit_code == 0, shown.output
    assert f"/{NAME}-file/" in shown.stdout
    assert f"defaults from {here / 'lab.toml'}: results, json" in shown.stderr
    monkeypatch.setenv("LAB_RESULTS", str(here / "variable"))
    assert f"/{NAME}-variable/" in lab("show").stdout
    assert f"/{NAME}-typed/" in lab("show", "--results", here / "typed").stdout


def test_a_command_of_a_group_has_a_table_within_that_of_the_group(lab: Lab, here: Path) -> None:
    (here / "lab.toml").write_text("[cache.prune]\nmost = 33\n")
    pruned = lab("cache", "prune", "--dry-run")
    assert pruned.exit_code == 0
    assert f"defaults from {here / 'lab.toml'}: prune most" in pruned.stderr


def test_everything_that_is_wrong_is_one_error_whichever_command_is_meant(lab: Lab, here: Path) -> None:
    (here / "lab.toml").write_text(
        """\
nosuch = 1
[run]
nci = "virtio"
repeat = "many"
cold = 1
accel = ["kvm"]
for-bisect = true
nic = [true]
[cache.prune]
most = -1
unused_for = 3
[shwo]
"""
    )
    told = lab("nics")
    assert told.exit_code == 2
    assert "10 problems" in told.stderr
    for part in (
        "nosuch: no such command",
        "run.nci: no such option; close: nic",
        "run.repeat: ",
        "run.cold: true or false is wanted",
        "run.accel: one value is wanted, not a list",
        "run.for-bisect: no such option",
        "run.nic: a text or a number is wanted, or a list of them",
        "cache.prune.most: ",
        "cache.prune.unused_for: no such option; close: unused-for",
        "shwo: no such command; close: show",
    ):
        assert f"{here / 'lab.toml'}: {part}" in told.stderr.replace("\n", ""), part
    assert lab("nics", "--help").exit_code == 0


@pytest.mark.parametrize("text", ["[run", 'run = "virtio"', "\0"])
def test_a_file_that_is_no_such_file_is_bad_input(lab: Lab, here: Path, text: str) -> None:
    (here / "lab.toml").write_text(text)
    told = lab("nics")
    assert told.exit_code == 2
    assert str(here / "lab.toml") in told.stderr
