# SPDX-License-Identifier: GPL-2.0-only
"""Whole nights, and nights that are killed before each of their steps: nothing is lost, nothing told twice."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from lab.archive.index import use_index
from lab.archive.rows import RunRow
from lab.campaign.diary import read_diary
from tests.unit.nightly.nights import Done, night

FILE = """
cases = ["hold", "release"]
nics = ["e1000e-split"]
repeat = 4
[[target]]
name = "mine"
kernel = "mine"
[mail]
to = ["a@example.org"]
from = "lab@example.org"
reported_by = "The lab <lab@example.org>"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A nightly whose mails end in the folder `mails`."""
    path = tmp_path / "night.toml"
    path.write_text(FILE)
    (tmp_path / "mails").mkdir()
    program = tmp_path / "sendmail"
    program.write_text(f'#!/bin/sh\nf=$(mktemp {tmp_path}/mails/.XXXXXX)\ncat > "$f"\nmv "$f" "$f.eml"\n')
    program.chmod(0o755)
    return path


def sent(file: Path) -> list[str]:
    mails = sorted((file.parent / "mails").glob(".*.eml"), key=lambda path: path.stat().st_mtime_ns)
    return [mail.read_text() for mail in mails]


def subjects(file: Path) -> list[str]:
    return [re.findall(r"^Subject: (.*)$", mail, re.MULTILINE)[0] for mail in sent(file)]


def told(done: Done) -> str:
    assert done.status == 0, done.said
    return done.said


def test_one_mail_for_each_change_and_one_line_where_nothing_changed(file: Path) -> None:
    first = told(night(file, "k1", "PP"))
    assert first == "nightly night: mine: 8 runs on k1, nothing new"
    assert sent(file) == []
    second = told(night(file, "k2", "FP"))
    assert "1 new fail" in second
    assert subjects(file) == ["[lab] hold on e1000e-split: new fail since k2", "[lab] [bisected] k2"]
    mail, culprit = sent(file)
    assert "lab bisect --case hold --nic e1000e-split --packages k1..k2" in culprit
    body = mail.partition("\n\n")[2]
    for wanted in (
        "Bad         k2",
        "Good        k1",
        "4:4 bad, :4 good",
        "lab run hold --kernel k2",
        "Reported-by: The",
    ):
        assert wanted in body, body
    assert all(len(line) <= 72 and line == line.rstrip() for line in body.splitlines())
    assert "nothing new, 1 still failing" in told(night(file, "k3", "FP"))
    assert "1 fixed" in told(night(file, "k4", "PP"))
    assert told(night(file, "k5", "PP")).endswith("nothing new")
    assert subjects(file)[2:] == ["[lab] hold on e1000e-split: fixed since k4"]
    assert "Reported-by" not in sent(file)[2]


def searched(file: Path) -> list[str]:
    path = file.parent / "searched"
    return path.read_text().splitlines() if path.exists() else []


def test_what_brought_each_new_failure_is_looked_for_after_all_is_told(file: Path) -> None:
    told(night(file, "k1", "PP"))
    (file.parent / "unsearchable").touch()
    assert "1 new fail" in told(night(file, "k2", "FP"))
    assert searched(file) == ["bisect-1: lab bisect --case hold --nic e1000e-split --packages k1..k2"]
    logs = "".join(path.read_text() for path in (file.parent / "results" / ".nightly" / "night").glob("*/log"))
    assert "not searched: there is no such package" in logs
    told(night(file, "k3", "FP"))
    assert len(searched(file)) == 1  # what was told was looked for
    assert len(sent(file)) == 1


def test_a_file_may_ask_for_no_search(file: Path) -> None:
    file.write_text(f"bisect = false\n{FILE}")
    told(night(file, "k1", "PP"))
    told(night(file, "k2", "FP"))
    assert searched(file) == []
    assert len(sent(file)) == 1


def rows(file: Path) -> dict[str, int]:
    """How many runs of each case and kernel there are."""
    found: dict[str, int] = {}
    for run in use_index(file.parent / "results", lambda index: index.take(RunRow)):
        key = f"{run.case_name} {run.kernel}"
        found[key] = found.get(key, 0) + 1
    return found


def test_killed_before_each_step_it_tells_the_same_once(file: Path) -> None:
    """The second night is killed before its first step, then before its second, and so on until it comes to its end."""
    told(night(file, "k1", "PP"))
    before = rows(file)
    for step in range(1, 60):
        done = night(file, "k2", "FP", kill=step)
        if done.status == 0:
            break
        assert done.status == -signal.SIGKILL, done.said
    assert step > 8  # a night has so many steps at least, and was killed before each of its first
    assert subjects(file) == ["[lab] hold on e1000e-split: new fail since k2", "[lab] [bisected] k2"]
    assert {line.partition(":")[0] for line in searched(file)} == {"bisect-1"}
    after = {key: number for key, number in rows(file).items() if key not in before}
    assert sorted(after.values())[-1] <= 4 + step  # what was run is not run again for each kill
    diary = read_diary(file.parent / "results" / ".nightly" / "night")
    assert diary.posts == ()
    assert diary.night is not None
    assert diary.night.ended
    assert told(night(file, "k3", "FP")).endswith("1 still failing")
    assert len(sent(file)) == 2


def test_a_mail_that_nobody_takes_waits_for_the_next_night(file: Path) -> None:
    told(night(file, "k1", "PP"))
    sendmail = file.parent / "sendmail"
    works = sendmail.read_text()
    sendmail.write_text("#!/bin/sh\nexit 75\n")
    told(night(file, "k2", "FP"))
    assert sent(file) == []
    sendmail.write_text(works)
    told(night(file, "k3", "FP"))
    assert subjects(file) == ["[lab] hold on e1000e-split: new fail since k2", "[lab] [bisected] k2"]


def test_two_do_not_work_on_one_results_folder(file: Path) -> None:
    from lab.campaign.tonight import alone
    from lab.errors import HostTrouble

    with alone(file.parent / "results"):
        done = night(file, "k1", "PP")
    assert done.status == 1
    assert "another nightly is at work" in done.said
    assert HostTrouble.__name__ in done.said


def test_a_damaged_diary_costs_no_history(file: Path) -> None:
    told(night(file, "k1", "PP"))
    told(night(file, "k2", "FP"))
    diary = file.parent / "results" / ".nightly" / "night" / "diary.json"
    diary.write_bytes(diary.read_bytes()[:200])
    done = night(file, "k3", "FP")
    assert "damaged" in done.said
    assert told(done).endswith("nothing new, 1 still failing")
    assert len(sent(file)) == 2  # the failure, and what brought it


def test_one_target_may_be_asked_for_again_and_again(file: Path) -> None:
    file.write_text(FILE.replace("[mail]", '[[target]]\nname = "other"\nkernel = "other"\n[mail]'))
    for _ in range(2):
        assert told(night(file, "k1", "PP", only=("mine",))) == "nightly night: mine: 8 runs on k1, nothing new"
    assert "other: 8 runs" in told(night(file, "k1", "PP"))


def test_a_night_without_time_tells_what_it_did_not_reach(file: Path) -> None:
    file.write_text("hours = 0.000001\n" + FILE)
    assert told(night(file, "k1", "PP")) == "nightly night: mine: not reached in time"
