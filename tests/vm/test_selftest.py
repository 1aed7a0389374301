# SPDX-License-Identifier: GPL-2.0-only
"""Selftests of a small source tree in real guests: verdicts that must be, and that nothing is left running."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from suites.selftests.table import SELFTESTS
from tests.unit.selftests.tree import small_tree
from tests.vm.sessions import Json

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
