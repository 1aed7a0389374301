# SPDX-License-Identifier: GPL-2.0-only
"""Selftests of a small source tree in real guests: verdicts that must be, and that nothing is left running."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.archive.reports import judged
from lab.host.paths import cache_root
from lab.plan.session import PLAN_FILE, load
from lab.units import Deadline, wait_until
from lab.verdict.model import Word
from suites.selftests.table import SELFTESTS
from tests.unit.selftests.tree import small_tree
from tests.vm.sessions import LONG, Json, Session, qemus, running

SCRIPTS = {
    "demo/script.sh": "#!/bin/sh\necho 'TAP version 13'; echo 1..2; echo ok 1 a; echo not ok 2 b; exit 1\n",
    "drivers/net/warns.sh": "#!/bin/sh\necho 'WARNING: CPU: 0 PID: 1 at mm/x.c:1 f+0x0' > /dev/kmsg\n"
    "echo 1..1; echo ok 1 fine\n",
    "drivers/net/remote.sh": "#!/bin/sh\necho 1..2\n"
    'test "$(ssh -q $REMOTE_ARGS hostname)" = sender && echo ok 1 other_end || echo not ok 1 other_end\n'
    "scp remote.sh $REMOTE_ARGS:/tmp/r && test $(ssh -q $REMOTE_ARGS 'wc -c < /tmp/r') = $(wc -c < remote.sh)"
    ' && ip link show dev "$NETIF" && ping -c 1 -W 5 "$REMOTE_V6" && echo ok 2 files_and_link\n',
    "drivers/net/mutes.sh": "#!/bin/sh\necho 1 > /proc/sys/kernel/printk\necho 1..1; echo ok 1 unheard\n",
    "drivers/net/hangs.sh": "#!/bin/sh\necho 1..1; exec tail -f /dev/null\n",
}
PANIC = "#!/bin/sh\necho 1..2; echo ok 1 before; echo c > /proc/sysrq-trigger; echo ok 2 after\n"


def processes_about(folder: Path) -> list[str]:
    """Command lines that name the folder, as those of its guests' QEMUs do: consoles go there."""
    found = [entry.read_bytes().decode(errors="replace") for entry in Path("/proc").glob("[0-9]*/cmdline")]
    return [line for line in found if str(folder) in line]


def selftests(tree: Path, folder: Path, *names: str) -> tuple[int, dict[str, Json]]:
    """Exit status of `lab selftest`, and its records by test."""
    argv = [sys.executable, "-m", "lab.cli", "selftest", *names, "--source", str(tree), "--kernel", "6.12"]
    argv += ["--results", str(folder), "--timeout", "20", "--json"]
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=False, timeout=500)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {record["test"]: record for record in records}


def judged_again(results: Path) -> dict[str, str]:
    """What `lab judge` says of the one session there."""
    argv = [sys.executable, "-m", "lab.cli", "judge", "--json", *map(str, results.iterdir())]
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=False, timeout=100)
    return {record["case"]: record["verdict"] for record in map(json.loads, done.stdout.splitlines())}


def test_verdicts_in_real_guests(tmp_path: Path) -> None:
    tree = small_tree(tmp_path / "linux")
    makefile = tree / SELFTESTS / "drivers/net/Makefile"
    makefile.parent.mkdir(parents=True)
    makefile.write_text("TEST_PROGS := warns.sh remote.sh mutes.sh hangs.sh\ninclude ../../lib.mk\n")
    for name, text in SCRIPTS.items():
        (tree / SELFTESTS / name).write_text(text)
    code, records = selftests(tree, tmp_path / "results", "demo", "drivers/net")
    assert {name: record["verdict"] for name, record in records.items()} == {
        "demo/script.sh": "FAIL",
        "demo/answers": "PASS",
        "demo/broken": "ERROR",
        "drivers/net/warns.sh": "FAIL",
        "drivers/net/remote.sh": "PASS",
        "drivers/net/mutes.sh": "ERROR",
        "drivers/net/hangs.sh": "ERROR",
    }
    assert code == 3
    assert [f["rule"] for f in records["drivers/net/warns.sh"]["findings"] if f["word"] == "FAIL"] == ["kernel-alive"]
    assert {f["rule"] for f in records["drivers/net/mutes.sh"]["findings"] if f["word"] == "ERROR"} == {"heard"}
    assert not processes_about(tmp_path)
    assert judged_again(tmp_path / "results") == {name: record["verdict"] for name, record in records.items()}
    (record,) = (tmp_path / "results").glob("*/*remote*/manifest.json")
    told = json.loads(record.read_text())
    assert {path.stat().st_mode & 0o077 for path in record.parent.rglob("*")} == {0}
    assert told["host"]["qemu"]
    assert told["seconds"]["drive"] > 0
    assert {"receiver/checkpoints.jsonl", "sender/checkpoints.jsonl"} <= told["files"].keys()


def tree_with(folder: Path, script: str) -> Path:
    """A source tree whose demo/script.sh is that."""
    tree = small_tree(folder / "linux")
    (tree / SELFTESTS / "demo/script.sh").write_text(script)
    return tree


def test_a_kernel_that_panics_in_the_middle_of_a_test_has_failed(tmp_path: Path) -> None:
    code, records = selftests(tree_with(tmp_path, PANIC), tmp_path / "results", "demo/script")
    found = records["demo/script.sh"]
    assert (code, found["verdict"]) == (1, "FAIL")
    assert {f["rule"] for f in found["findings"] if f["word"] == "FAIL"} == {"kernel-alive"}
    # what was on its way to the host dies with the guest
    assert {case["name"] for case in found["cases"]} <= {"before"}
    assert not processes_about(tmp_path)


@pytest.fixture
def runtime() -> Iterator[Path]:
    """Where the command makes its private directory; short, because it holds sockets."""
    made = Path(tempfile.mkdtemp(prefix="ls-", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def slow_test(tmp_path: Path, runtime: Path) -> Iterator[Session]:
    """`lab selftest` of a test that does not end."""
    tree = tree_with(tmp_path, "#!/bin/sh\necho 1..1; exec tail -f /dev/null\n")
    argv = [sys.executable, "-m", "lab.cli", "selftest", "demo/script", "--source", str(tree), "--kernel", "6.12"]
    argv += ["--results", str(tmp_path / "results"), "--timeout", "300"]
    with running(tmp_path, argv, log=tmp_path / "log", env={"LAB_RUNTIME": str(runtime)}) as session:

        def planned() -> tuple[Path | None, object]:
            return next((tmp_path / "results").glob(f"*/{PLAN_FILE}"), None), session.text[-200:]

        session.folder = wait_until(planned, deadline=Deadline.after("the plan", LONG)).parent
        yield session


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_a_test_leaves_its_bundle_and_nothing_else(
    tmp_path: Path, runtime: Path, signum: int
) -> None:
    with slow_test(tmp_path, runtime) as session:
        plan = load((session.folder / PLAN_FILE).read_bytes(), cache_root())
        session.reach("run demo/script.sh")
        assert qemus(plan)
        os.kill(session.process.pid, signum)
        assert session.end() == 130, session.text
    assert not qemus(plan)
    assert not list(runtime.iterdir())
    (run,) = plan.runs
    found = judged(session.folder / run.id, run.id)
    assert found.verdict.word is Word.MISS
    assert [incident.kind for incident in found.manifest.incidents] == ["interrupted"]
    assert (session.folder / run.id / "test.json").exists()
