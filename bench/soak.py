# SPDX-License-Identifier: GPL-2.0-only
"""`soak`: many warm runs in a row in one worker; what is left behind, and do verdicts stay those of cold pairs."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.engine import FRESH_PAIRS, Ran, lab_run
from bench.fresh_pairs import WORKER_FILE
from bench.harness import Outcome
from bench.registry import Asked

CASES = ("hold", "pin-vmsplice", "release", "dead-memcg", "copy-control", "sock-control", "bytes-equal", "bystander")
NIC = "virtio"
FD_SLACK = 2
KIB_A_RUN = 64
"""A worker may grow by that much a run before it counts as a leak: 13 MiB over 200 runs."""

PYTESTS_OWN = "pytest-of-"
"""A directory that pytest makes for every session, and of which it keeps the last three."""

State = Mapping[str, Any]


def measure(asked: Asked) -> Outcome:
    """`runs` runs spread over the cases, against one cold run of each case. Raises CommandFailed."""
    repeat = math.ceil(asked.runs / len(CASES))
    cases = CASES[: asked.runs] if asked.runs < len(CASES) else CASES
    words = [*cases, "--nic", NIC, "-n", "1", *(w for kernel in asked.kernels for w in ("--kernel", kernel))]
    asked.progress("one cold run of each case")
    cold = lab_run([*words, "--cold"], plugin=FRESH_PAIRS)
    asked.progress(f"{repeat * len(cases)} runs in a row")
    bundles = asked.out / "soak-bundles"
    shutil.rmtree(bundles, ignore_errors=True)
    bundles.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="lb-") as scratch:  # short: AF_UNIX paths end at 108 bytes
        note, own = Path(scratch) / "worker.jsonl", Path(scratch) / "r"
        own.mkdir()
        env = {WORKER_FILE: str(note), "LAB_RUNTIME": str(own), "TMPDIR": str(own)}
        long = lab_run([*words, "--repeat", str(repeat)], plugin=FRESH_PAIRS, env=env, keep=bundles)
        states = [json.loads(line) for line in note.read_text().splitlines()]
        left = leftovers(own)
    facts = {
        "accelerator": cold.records[0]["accelerator"],
        "kernel": cold.records[0]["kernel"],
        "nic": NIC,
        "runs": len(states),
        "minutes": round(long.seconds / 60, 1),
        **{f"{k}_first": states[0][k] for k in ("fds", "threads", "children", "domains")},
        **{f"{k}_last": states[-1][k] for k in ("fds", "threads", "children", "domains")},
        "rss_growth_kib_per_run": round(growth(states, "rss_mib") * 1024, 1),
        "left_behind": left,
    }
    problems = [*other_words(cold, long), *leaks(states), *(f"left behind: {what}" for what in left)]
    if len(states) != len(long.records):
        problems.append(f"{len(long.records)} runs, but the worker was seen {len(states)} times: it was replaced")
    if problems:
        problems.append(f"bundles and report are in {bundles}")
    else:
        shutil.rmtree(bundles)
    rounds = [{"worker": float(s["rss_mib"])} for s in states]
    return Outcome(f"Memory of the worker after each of {len(states)} runs", "MiB", rounds, (), facts, problems)


def other_words(cold: Ran, long: Ran) -> list[str]:
    """Runs whose verdict in the long session differs from the cold one of their case, with what decided it."""
    wanted = {r["case"]: r["verdict"] for r in cold.records}
    return [
        f"{r['case']} run {r['repeat']} was {r['verdict']}, cold {wanted[r['case']]}: {'; '.join(_decisive(r))}"
        for r in long.records
        if r["verdict"] != wanted[r["case"]]
    ]


def _decisive(run: Mapping[str, Any]) -> list[str]:
    return [finding["message"] for finding in run["findings"] if finding["word"] == run["verdict"]]


Level = Callable[[Iterable[float]], float]


def growth(states: Sequence[State], key: str, level: Level = median) -> float:
    """By how much a value grows from run to run, from its levels in the second and in the last quarter.

    The first quarter is left out: imports and caches fill there.
    """
    quarter = max(1, len(states) // 4)
    early, late = states[quarter : 2 * quarter] or states[:1], states[-quarter:]
    between = max(1, len(states) - 2 * quarter)
    return (level(float(s[key]) for s in late) - level(float(s[key]) for s in early)) / between


def leaks(states: Sequence[State]) -> list[str]:
    """What grows in the worker.

    It always has domains and children, of the next pair and of the one that leaves, more or fewer with the host's
    load. What leaks is there in the quietest moment too, so counts are compared by their least.
    """
    found = []
    span = max(1, len(states) - 2 * max(1, len(states) // 4))
    for key in ("fds", "threads", "children", "domains"):
        grown = growth(states, key, min) * span
        if grown > FD_SLACK:
            found.append(f"{key} grew by {grown:.0f} in {span} runs")
    kib = growth(states, "rss_mib") * 1024
    if kib > KIB_A_RUN and kib * span > 4 * 1024:
        found.append(f"the worker's memory grew by {kib:.0f} KiB a run")
    return found


def leftovers(folder: Path) -> list[str]:
    """Files in the folder that a session had to itself for all its temporary ones, and processes that still know it."""
    found = [str(path) for path in sorted(folder.iterdir()) if not path.name.startswith(PYTESTS_OWN)]
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is not ours
            if entry.name != str(os.getpid()) and _knows(entry, os.fsencode(folder)):
                found.append(f"process {entry.name}: {(entry / 'cmdline').read_bytes()[:200]!r}")
    return found


def _knows(process: Path, folder: bytes) -> bool:
    return any(folder in (process / name).read_bytes() for name in ("cmdline", "environ"))
