# SPDX-License-Identifier: GPL-2.0-only
"""Nothing that a bundle holds reaches a terminal, a page or a file of results as anything but text."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from junitparser import JUnitXml

from lab.collect.bundle import BundleWriter
from lab.evidence.bundle import record_of
from lab.text.terminal import Console, say, say_traceback
from tests.known import CASES
from tests.unit.cli.conftest import write_run, write_session
from tests.unit.verdict.told import with_digest

EVIL = (
    "\x1b[31mX\x1b]0;title\x07\r\u202e\u2066\x9b2J\x00[red]m[/red][/nope] "
    "| `code` <script>alert(1)</script>\nok 1 x # y"
)
"""Colour, title, bell, carriage return, overrides of direction, a C1 control, rich's markup, and the formats' own."""

FORBIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
NAME = "20260101-000000-aaaa"


def file_name() -> str:
    return EVIL.replace("/", "").replace("\0", "")


def spoil(bundle: Path) -> None:
    """Put it wherever a bundle holds text that somebody is shown."""
    manifest: dict[str, Any] = json.loads((bundle / "manifest.json").read_bytes())
    manifest |= dict.fromkeys(("run", "predicted", "started", "lab_version", "reproduce"), EVIL)
    manifest["kernel"] |= dict.fromkeys(("name", "release", "design", "sha256", "config_sha256", "base"), EVIL)
    manifest["host"] |= dict.fromkeys(("qemu", "libvirt", "connection", "machine", "image_sha256"), EVIL)
    manifest["pair"] |= dict.fromkeys(("id", "shape", "cmdline", "note"), EVIL)
    manifest["clients"][0] |= {"behaviour": EVIL, "argv": [EVIL], "status": 1}
    manifest["incidents"] = [{"kind": "host", "guest": EVIL, "detail": EVIL, "t": EVIL}]
    text = EVIL.replace("\n", " ")
    console = (bundle / "receiver/console.log").read_bytes()
    bug = f"[    9.000000] BUG: kernel NULL pointer dereference, address: {text}\r\n"
    span = {"name": text, "lane": "case", "began": 0, "ended": 1, "detail": text}
    error = {"t": 999.0, "event": "error", "message": EVIL}
    checkpoints = (bundle / "receiver/checkpoints.jsonl").read_bytes()
    last = json.loads(checkpoints.splitlines()[-1])
    changed = {
        "receiver/console.log": console + bug.encode() + b"\xff\xfe\x9b",
        "timing.json": json.dumps({"seconds": 1, "spans": [span]}).encode(),
        "clients/abuser.jsonl": (bundle / "clients/abuser.jsonl").read_bytes() + json.dumps(error).encode() + b"\n",
        "receiver/checkpoints.jsonl": checkpoints + json.dumps(last | {"name": EVIL}).encode() + b"\n",
    }
    for name, data in changed.items():
        (bundle / name).write_bytes(data)
        manifest["files"][name] = record_of(data).model_dump()
    (bundle / "manifest.json").write_bytes(with_digest(manifest))
    (bundle / file_name()).symlink_to("nowhere")
    (bundle / os.fsdecode(b"\xff\x1b]0;x\x07")).symlink_to("nowhere")


@pytest.fixture
def session(tmp_path: Path) -> Path:
    folder, (bundle, _) = write_session(tmp_path / "results", NAME, ("hold", "release"))
    spoil(bundle)
    return folder


def lab(folder: Path, *args: str | Path, status: int) -> str:
    """What `lab` shows, on standard output and standard error."""
    argv = [sys.executable, "-m", "lab.cli", *map(str, args)]
    env = {**os.environ, "LAB_RESULTS": str(folder.parent), "COLUMNS": "200", "PYTHONUTF8": "1"}
    ran = subprocess.run(argv, capture_output=True, check=False, cwd=folder, env=env)
    assert ran.returncode == status, ran.stderr
    assert b"Traceback" not in ran.stderr
    return (ran.stdout + ran.stderr).decode()


def test_what_commands_show_of_a_bundle_holds_no_escape_and_no_markup(session: Path) -> None:
    bundle = next(session.glob("hold.*"))
    for args, code in (
        (("judge", bundle), 1),
        (("show", bundle), 0),
        (("show", NAME), 0),
        (("report", NAME), 0),
        (("judge", bundle, "--json"), 1),
        (("show", bundle, "--json"), 0),
    ):
        shown = lab(session, *args, status=code)
        assert not FORBIDDEN.search(shown), (args, FORBIDDEN.findall(shown))
        if args[0] != "report":
            assert "[red]m[/red][/nope]" in shown


def test_on_a_terminal_the_only_escapes_are_our_colours(session: Path) -> None:
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "lab.cli", "judge", str(next(session.glob("hold.*")))]
    env = {**os.environ, "TERM": "xterm-256color", "PYTHONUTF8": "1"}
    shown = b""
    with subprocess.Popen(argv, stdout=theirs, stderr=theirs, stdin=theirs, env=env):
        os.close(theirs)
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # EIO: the other side is closed
                break
            if not data:
                break
            shown += data
    os.close(ours)
    text = shown.decode()
    assert COLOUR.search(text)
    assert not FORBIDDEN.search(COLOUR.sub("", text).replace("\r\n", "\n"))
    assert "\ufffd[31mX" in COLOUR.sub("", text)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m | {EVIL: 1},
        lambda m: m | {"files": {**m["files"], f"a/{EVIL}": 1}},
        lambda m: m | {"case": EVIL},
        lambda m: m | {"host": m["host"] | {"accelerator": EVIL}},
        lambda m: m | {"clients": [m["clients"][0] | {"name": EVIL}]},
    ],
)
def test_errors_hold_no_escape(tmp_path: Path, change: Callable[[Any], Any]) -> None:
    bundle = write_run(tmp_path / "b", "hold")
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    (bundle / "manifest.json").write_text(json.dumps(change(manifest)))
    assert not FORBIDDEN.search(lab(tmp_path, "judge", bundle, status=2))


def test_names_of_folders_hold_no_escape(session: Path) -> None:
    strange = session / f"hold.{file_name()}"
    write_run(strange, "hold")
    for args, code in ((("judge", strange), 0), (("show", strange), 0), (("show", "hold"), 0), (("show", NAME), 0)):
        assert not FORBIDDEN.search(lab(session, *args, status=code))
    assert not FORBIDDEN.search(lab(session, "show", "\x1b[31m\x9b", status=2))


def test_reports_hold_text_and_no_markup(session: Path) -> None:
    lab(session, "report", NAME, status=0)
    page = (session / "report.html").read_text()
    assert not FORBIDDEN.search(page)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    junit = (session / "junit.xml").read_text()
    assert not FORBIDDEN.search(junit)
    assert len([case for suite in JUnitXml.fromstring(junit.encode()) for case in suite]) == 2
    ktap = (session / "results.ktap").read_text()
    assert not FORBIDDEN.search(ktap)
    assert [line.split()[0] for line in ktap.splitlines() if not line.startswith("# ")] == ["KTAP", "1..2", "not", "ok"]
    table = (session / "table.md").read_text()
    assert not FORBIDDEN.search(table)
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    assert not re.search(r"(?<!\\)<", table)
    records = [json.loads(line) for line in (session / "results.jsonl").read_text().splitlines()]
    assert [record["run"] == EVIL for record in records].count(True) == 1
    assert not FORBIDDEN.search((session / "results.jsonl").read_text())
    for bundle in session.glob("*.e1000e-split.*"):
        assert not FORBIDDEN.search((bundle / "verdict.json").read_text())
        assert not FORBIDDEN.search((bundle / "curve.svg").read_text())
        assert "<script" not in (bundle / "curve.svg").read_text()


def test_whoever_writes_to_a_terminal_writes_clean_text(capsys: pytest.CaptureFixture[str]) -> None:
    say(EVIL)
    say(EVIL, err=True)
    Console().print(EVIL)
    Console(stderr=True).print(EVIL, style="red")
    try:
        raise RuntimeError(EVIL)
    except RuntimeError:
        say_traceback()
    out, err = capsys.readouterr()
    for text in (out, err):
        assert not FORBIDDEN.search(text)
        assert "[red]m[/red][/nope]" in text


def test_progress_holds_no_escape(capsys: pytest.CaptureFixture[str]) -> None:
    from lab.cli.progress import shown

    with shown() as progress:
        progress(EVIL)
    assert not FORBIDDEN.search(capsys.readouterr().err)


def test_a_run_that_surprised_pytest_is_told_in_clean_lines(tmp_path: Path) -> None:
    from lab.archive.reports import judged
    from lab.trial.trial import Trial

    bundle = write_run(tmp_path / "b", "hold")
    spoil(bundle)
    trial = Trial.__new__(Trial)
    trial.result = judged(bundle, "b")
    trial.run = type("Run", (), {"id": "b", "kernel": "k"})()
    trial.life = type("Life", (), {"skip": "x"})()
    kernel = type("Kernel", (), {"release": "6.12.0"})()
    trial.plan = type("Plan", (), {"expect": "", "kernel": lambda *_: kernel})()
    trial.case = CASES["hold"]
    assert not FORBIDDEN.search(repr(trial))
    assert BundleWriter(bundle).root == bundle
