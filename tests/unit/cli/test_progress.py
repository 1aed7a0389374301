# SPDX-License-Identifier: GPL-2.0-only
"""What a session shows while it runs: on a terminal, in a log, and in a file that standard output is."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.archive.reports import stored_plan
from lab.cli.verdicts import Course
from lab.plan.learnt import Learnt
from lab.plan.session import SessionPlan
from tests.unit.cli.conftest import write_session

SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
from lab.archive.reports import stored_plan
from lab.cli.verdicts import listening
from lab.verdict.model import Word
from tests.unit.report import builder
plan = stored_plan(Path(sys.argv[1]))
plan = replace(plan, runs=tuple(replace(run, seconds=20.0) for run in plan.runs))
with listening(as_json="--json" in sys.argv) as listener:
    listener.planned(plan)
    for number, (run, word) in enumerate(zip(plan.runs, (Word.PASS, Word.FAIL)), start=1):
        listener.doing(f"{run.id} tracing " + "very long " * 40)
        result = builder.result(word, run.case, predicted="PASS")
        listener.verdict(plan, number, replace(result, manifest=result.manifest.model_copy(update={"run": run.id})))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_session(tmp_path, "s", ("hold", "release"))[0]


@pytest.fixture
def plan(folder: Path) -> SessionPlan:
    return stored_plan(folder)


def on_terminal(folder: Path, *words: str, **env: str) -> tuple[str, str]:
    """What a terminal of 80 columns gets as standard error, and a file as standard output."""
    master, slave = pty.openpty()
    told = folder.parent / "stdout"
    given = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "LAB_RESULTS")}
    with told.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(folder), *words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=slave,
            env=given | {"COLUMNS": "80", "TERM": "xterm", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | env,
        )
        os.close(slave)
        seen = b""
        while chunk := _read(master):
            seen += chunk
        assert process.wait(60) == 0, seen.decode()
    os.close(master)
    return seen.decode(), told.read_text()


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65536)
    except OSError:  # EIO: the other end is closed
        return b""


def test_a_verdict_has_a_line_of_its_own_and_its_colour(folder: Path) -> None:
    seen, _ = on_terminal(folder)
    lines = [line for line in re.split(r"[\r\n]+", seen) if "] " in line and "/2]" in line]
    plain = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in lines]
    assert [line.split()[:2] for line in plain] == [["[1/2]", "PASS"], ["[2/2]", "FAIL"]]
    assert "\x1b[32mPASS" in lines[0]
    assert "\x1b[1;31mFAIL" in lines[1]
    assert "tracing" not in "".join(plain)
    assert "2 runs, 1 at once, about " in seen
    assert re.search(r"0/2, (\d+ min )?\d+ s left: hold", seen)
    assert "…" in seen
    assert seen.count("\x1b[1A") <= 1, "the line that moves is one line, and goes at the end"


def test_no_color_has_no_colour(folder: Path) -> None:
    seen, _ = on_terminal(folder, NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", seen)
    assert "[2/2] FAIL" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)


def test_a_file_gets_what_is_said_to_it_while_a_terminal_has_the_line_that_moves(folder: Path) -> None:
    seen, told = on_terminal(folder, "--json")
    assert told.count('"verdict"') == 2
    assert '"verdict"' not in seen


def test_a_log_has_whole_lines_and_how_long_the_rest_takes(folder: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder)], capture_output=True, text=True, check=True, env=env
    )
    assert "\x1b" not in done.stderr
    one, two = [line for line in done.stderr.splitlines() if "/2]" in line]
    assert re.search(r"PASS .* s left\)$", one)
    assert two.endswith("! predicted PASS")


def test_the_time_that_is_left_runs_down_and_is_not_told_below_nothing(
    plan: SessionPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.session.learnt.load_learnt", Learnt)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    course = Course(plan)
    whole = course.rest
    assert course.far().startswith(f"0/{len(plan.runs)}, ")
    now += whole / 2
    assert course.rest == whole
    assert course.left()
    now += whole
    assert course.left() == ""
