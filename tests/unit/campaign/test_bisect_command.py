# SPDX-License-Identifier: GPL-2.0-only
"""`lab bisect` from its options to its folder, with a laboratory in place of guests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import lab.campaign.bisect.work
from lab.campaign.bisect.engine import Told as Tells
from lab.campaign.bisect.engine import Wanted
from lab.campaign.bisect.model import Asked, Outcome, Search
from lab.campaign.bisect.record import FILE, held, load, save
from lab.cli import assembled
from lab.errors import BadInput, HostTrouble
from tests.unit.campaign.histories import forked
from tests.unit.campaign.world import World, line_of, searched


@pytest.fixture
def lab_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[World | None], None]:
    """Have the command use a world; the handlers of signals stay this process's own."""
    monkeypatch.setenv("LAB_RESULTS", str(tmp_path / "results"))
    monkeypatch.setattr("lab.host.interrupt.end_in_order", lambda: None)

    def use(world: World | None) -> None:
        def conductor(search: Search, _listener: object, _conduct: object) -> World:
            made = world or World(search.range, _named(search, "four"))
            made.range = search.range
            return made

        monkeypatch.setattr(lab.campaign.bisect.work, "Conductor", conductor)

    return use


def _named(search: Search, subject: str) -> str:
    return next(s.name for s in search.range.suspects if s.subject == subject)


def run(*argv: str) -> Any:  # noqa: ANN401 - a Result of click or of typer, by the version of typer
    return CliRunner().invoke(assembled("bisect"), ["bisect", *argv])


def options(root: Path) -> list[str]:
    return ["--case", "hold", "--repo", str(root), "--good", "start", "--bad", "main"]


def folder_of(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "results").glob("bisect-*")
    return found


def test_a_culprit_is_told_and_its_report_and_log_are_kept(
    tmp_path: Path, lab_of: Callable[[World | None], None]
) -> None:
    lab_of(None)
    ended = run(*options(forked(tmp_path / "r")))
    assert ended.exit_code == 0, ended.output
    folder = folder_of(tmp_path)
    search = load(folder)
    assert "culprit: " in ended.stdout
    assert search.ended is Outcome.CULPRIT
    culprit = _named(search, "four")
    assert f"first bad commit: [{culprit}]" in (folder / "git-bisect.log").read_text()
    assert f"#regzbot introduced: {culprit}" in (folder / "report.txt").read_text()
    for command in ("show", "log", "report"):
        assert run(command, str(folder)).exit_code == 0
    assert run("show", folder.name).stdout == run("show", str(folder)).stdout


def test_what_interrupts_it_loses_no_run_and_says_how_to_go_on(
    tmp_path: Path, lab_of: Callable[[World | None], None]
) -> None:
    class Interrupted(World):
        def run(self, wanted: Wanted, begun: Callable[[str, Mapping[str, str]], None], told: Tells) -> None:
            super().run(wanted, begun, told)
            if len(self.runs) == 8:
                raise KeyboardInterrupt

    root = forked(tmp_path / "r")
    from lab.campaign.bisect.commits import commits_between

    history = commits_between(Asked("commits", "hold", "virtio", "start", "main", str(root)))
    world = Interrupted(history, next(s.name for s in history.suspects if s.subject == "side"))
    lab_of(world)
    ended = run(*options(root))
    folder = folder_of(tmp_path)
    assert (ended.exit_code, len(load(folder).entries)) == (130, 8)
    assert f"lab bisect --resume {folder}\n" in ended.stderr
    resumed = run("--resume", str(folder))
    assert resumed.exit_code == 0, resumed.output
    assert len(load(folder).entries) == len(world.runs)


def test_a_search_that_goes_on_is_asked_for_nothing_else(
    tmp_path: Path, lab_of: Callable[[World | None], None]
) -> None:
    lab_of(None)
    ended = run("--resume", str(tmp_path / "x"), "--nic", "virtio")
    assert ended.exit_code == 2
    assert "--budget, --pairs and --hosts alone can be given anew" in ended.stderr


def test_who_goes_on_is_told_the_hosts_as_well(tmp_path: Path, lab_of: Callable[[World | None], None]) -> None:
    lab_of(None)
    (tmp_path / "hosts.ini").write_text("one ansible_connection=local\n")
    elsewhere = ["--hosts", str(tmp_path / "hosts.ini"), "--carrier", "local"]
    ended = run(*options(forked(tmp_path / "r")), "--budget", "6runs", *elsewhere)
    again = f"lab bisect --resume {folder_of(tmp_path)} {' '.join(elsewhere)} --budget MORE"
    assert (ended.exit_code, again in ended.stderr) == (3, True), ended.output
    assert run("--resume", str(folder_of(tmp_path)), "--budget", "200runs", *elsewhere).exit_code == 0


@pytest.mark.parametrize(
    ("world", "code"),
    [(World(line_of(3), "", passing=1.0), 1), (World(line_of(3), ""), 1)],
    ids=["alike", "silent"],
)
def test_no_culprit_is_exit_1(tmp_path: Path, lab_of: Callable[[World | None], None], world: World, code: int) -> None:
    lab_of(world)
    assert run(*options(forked(tmp_path / "r"))).exit_code == code


def test_a_spent_budget_is_exit_3_and_a_larger_one_goes_on(
    tmp_path: Path, lab_of: Callable[[World | None], None]
) -> None:
    lab_of(None)
    ended = run(*options(forked(tmp_path / "r")), "--budget", "6runs")
    assert ended.exit_code == 3
    folder = folder_of(tmp_path)
    assert "the budget is spent (6 runs" in ended.stdout
    assert len(load(folder).entries) == 6
    assert run("--resume", str(folder), "--budget", "200runs").exit_code == 0


def test_what_is_wrong_is_told_at_once_and_leaves_nothing(
    tmp_path: Path, lab_of: Callable[[World | None], None]
) -> None:
    lab_of(None)
    wrong = ["--case", "nosuch", "--nic", "none", "--repo", str(tmp_path), "--good", "a", "--confidence", "7"]
    wrong += ["--budget", "soon", "--hosts", str(tmp_path / "hosts.ini")]
    ended = run(*wrong)
    assert ended.exit_code == 2
    assert all(
        word in ended.stderr
        for word in ("nosuch", "'none'", "--bad is missing", "--confidence 7", "'soon'", "hosts.ini")
    )
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (b"{", "is damaged"),
        (b'{"format": 9, "search": {}}', "format 9"),
        (b'{"format": 1, "search": {}}', "is damaged"),
    ],
)
def test_a_damaged_record_is_refused(tmp_path: Path, damage: bytes, told: str) -> None:
    (tmp_path / FILE).write_bytes(damage)
    with pytest.raises(BadInput, match=told):
        load(tmp_path)


def test_a_record_with_a_flipped_word_is_refused(tmp_path: Path) -> None:
    save(tmp_path, searched(World(line_of(6), "c3")))
    text = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(text.replace('"FAIL"', '"PASS"', 1))
    with pytest.raises(BadInput, match="digest"):
        load(tmp_path)


def test_two_do_not_work_on_one_search(tmp_path: Path) -> None:
    with held(tmp_path), pytest.raises(HostTrouble, match="another process"), held(tmp_path):
        pass
