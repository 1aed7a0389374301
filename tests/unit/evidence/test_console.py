# SPDX-License-Identifier: GPL-2.0-only
"""Consoles: the corpus of logs with their expected parse, and what no log may do to the parser.

`LAB_UPDATE_CORPUS=1 pytest tests/unit/evidence` rewrites the expectations; read the difference before committing it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.evidence.console import parse_console
from lab.evidence.model import Canary, Constraint

CORPUS = Path(__file__).parents[2] / "corpus"
LOGS = sorted((CORPUS / "console").glob("*.log"))
EVERY = sorted(CORPUS.glob("*/*.log"))


def told(data: bytes) -> dict[str, object]:
    """The parse as JSON: everything but the path, which the caller chose."""
    console = asdict(parse_console("receiver/console.log", data))
    del console["path"]
    plain: dict[str, object] = json.loads(json.dumps(console))
    return plain


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.stem)
def test_corpus(log: Path) -> None:
    found, expected = told(log.read_bytes()), log.with_suffix(".json")
    if os.environ.get("LAB_UPDATE_CORPUS") == "1":
        expected.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(expected.read_text())


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("BUG: KMSAN: uninit-value in tcp_recvmsg+0x1/0x2", "kmsan"),
        ("BUG: KCSAN: data-race in tcp_poll / tcp_recvmsg", "kcsan"),
        ("traps: PANIC: double fault, error_code: 0x0", "panic"),
        ("Unable to handle kernel NULL pointer dereference at virtual address 0", "oops"),
        ("divide error: 0000 [#1] SMP", "oops"),
        ("WARNING: suspicious RCU usage", "lockdep"),
        ("rcu: rcu_preempt kthread starved for 2100 jiffies! g5 f0x0 RCU_GP_WAIT_FQS(5) ->state=0x0", "rcu-stall"),
        ("page dumped because: VM_BUG_ON_PAGE(page_ref_count(page) == 0)", "bug"),
        ("INFO: task kworker/u4:1+events:33 blocked for more than 10 seconds.", "hung-task"),
        ("[ BUG: Invalid wait context ]", "lockdep"),
        ("irq 11: nobody cared (try booting with the irqpoll option)", "irq"),
        ("Call Trace:", "unexplained"),
    ],
)
@pytest.mark.parametrize(
    "frame",
    [
        "{}",
        "[    1.000000] {}",
        "[    1.000000][    T1] {}",
        "<4>[    1.0] [    1.000000] {}\r",
        "Jun 24 18:49:43 node-1 kernel: [    1.000000] {}",
        "Jun 24 18:49:43 node-1 kernel: {}",
        "2026-06-24T18:49:43.123456+00:00 node-1 kernel: {}",
        "[Wed Jun 24 18:49:43 2026] {}",
        "<4>{}",
        "ready[    1.000000] {}",
        "[    1.000000] c0    123 {}",
        "\x1b[31m[    1.000000] {}\x1b[0m",
    ],
)
def test_signs_in_every_frame(text: str, kind: str, frame: str) -> None:
    assert [s.kind for s in parse_console("c", frame.format(text).encode()).splats] == [kind]


def test_a_warning_is_not_fatal_and_a_panic_is() -> None:
    splats = parse_console("c", b"WARNING: CPU: 0 PID: 1 at x\nKernel panic - not syncing: y\n").splats
    assert [(s.fatal, s.line) for s in splats] == [(False, 1), (True, 2)]


def test_the_closing_line_of_a_panic_is_told_only_where_the_panic_is_not() -> None:
    closing = b"---[ end Kernel panic - not syncing: y ]---\n"
    assert [s.kind for s in parse_console("c", closing).splats] == ["panic"]
    assert len(parse_console("c", b"Kernel panic - not syncing: y\n" + closing).splats) == 1


def test_a_killed_line_alone_is_a_kill_and_a_report_alone_as_well() -> None:
    alone = parse_console("c", b"[    1.000000] Out of memory: Killed process 5 (a b) total-vm:1kB").kills
    report = b"oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/lab,task_memcg=/lab/x,task=t,pid=6,uid=0\n"
    assert [(k.constraint, k.pid, k.task, k.task_memcg) for k in alone] == [(Constraint.GLOBAL, 5, "a b", "")]
    assert [(k.constraint, k.pid, k.task_memcg) for k in parse_console("c", report).kills] == [
        (Constraint.MEMCG, 6, "/lab/x")
    ]


def test_canaries_and_the_stamped_lines_between_them() -> None:
    console = parse_console(
        "c",
        b"[    1.000000] one\n<5>[    2.000000][  T231] lab-canary: run-1-begin\r\nprose\n[    3.000000] two\n"
        b"lab-canary: no-stamp\n[    3.100000] lab-canary: not one\n[    4.000000] x[    5.000000] lab-canary: end\n",
    )
    assert console.canaries == (Canary("run-1-begin", 2, 1), Canary("end", 7, 3))


def test_without_a_stamp_nothing_is_a_canary() -> None:
    assert parse_console("c", b"lab-canary: run-1-begin\n").canaries == ()


def test_boots_are_counted_by_a_kernels_own_words() -> None:
    boot = b"[    0.000000] Linux version 6.12.0-lab #1\n[    9.000000] traffic\n"
    assert parse_console("c", boot).boots == 1
    assert parse_console("c", b"[    9.000000] traffic\nLinux version 6.12.0-lab says uname\n").boots == 0
    twice = parse_console("c", boot + boot)
    assert (twice.boots, [(s.kind, s.line) for s in twice.splats]) == (2, [("reboot", 3)])


def test_a_title_holds_nothing_that_a_terminal_obeys() -> None:
    hostile = b"[    1.000000] BUG: \x9b31m\x07\xe2\x80\xae\x08" + b"x" * 3000 + b"\n"
    (splat,) = parse_console("c", hostile).splats
    assert splat.title.isprintable()
    assert len(splat.title) == 300


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_console(data: bytes) -> None:
    assert not _amiss(data)


@given(st.lists(st.one_of(st.sampled_from(EVERY), st.binary(max_size=30)), max_size=8), st.integers(0, 2**32))
def test_any_mixture_of_reports_is_a_console(parts: list[Path | bytes], seed: int) -> None:
    texts = [part if isinstance(part, bytes) else part.read_bytes() for part in parts]
    assert not _amiss(b"".join(text[seed % (len(text) + 1) :] for text in texts))


def _amiss(data: bytes) -> list[object]:
    """What of a console's parts cannot be, whatever the bytes are."""
    console = parse_console("c", data)
    lines = [[k.line for k in console.kills], [s.line for s in console.splats], [c.line for c in console.canaries]]
    beyond = [line for kind in lines for line in kind if not 1 <= line <= console.lines]
    shown = [splat for splat in console.splats if not splat.title.isprintable() or len(splat.title) > 300]
    return [*beyond, *shown, *(canary for canary in console.canaries if canary.shown < 0)]


@given(st.sampled_from(LOGS), st.binary(max_size=40), st.integers(0, 10**4))
def test_noise_on_lines_of_its_own_hides_nothing(log: Path, noise: bytes, at: int) -> None:
    lines = log.read_bytes().split(b"\n")
    where = at % len(lines)
    noisy = b"\n".join([*lines[:where], noise.replace(b"\n", b""), *lines[where:]])
    before, after = parse_console("c", log.read_bytes()), parse_console("c", noisy)
    assert len(after.kills) >= len(before.kills)
    assert {s.kind for s in after.splats} >= {s.kind for s in before.splats} - {"taint"}
