# SPDX-License-Identifier: GPL-2.0-only
"""What a console may cost: memory beyond its bytes, and no more work than its bytes. bench/judge.py has the seconds;
what grew with the square of a size would not end here."""

from __future__ import annotations

import tracemalloc

import pytest

from lab.evidence.console import MOST_SPLATS, parse_console
from lab.evidence.records import HEAD, LONG_LINE, TAIL
from lab.evidence.signs import SIGNS, Sign
from lab.units import MIB

WARN = b"[   30.000000] WARNING: CPU: 0 PID: 231 at mm/page_counter.c:60 page_counter_cancel+0x34/0x40\n"
PLAIN = b"[   30.000000] an ordinary line of a kernel that has nothing of interest to say, as most have\r\n"
PANIC = b"[   31.000000] Kernel panic - not syncing: Fatal exception\n"
NEAR = b" ".join(sign.needle.encode() for sign in SIGNS) + b" "


def test_a_large_console_takes_little_memory_beside_its_bytes() -> None:
    data = WARN * 3000 + PLAIN * 300_000 + b"Kernel panic " * 100_000
    tracemalloc.start()
    try:
        parse_console("c", data)
        assert tracemalloc.get_traced_memory()[1] < 32 * MIB
    finally:
        tracemalloc.stop()


def test_50_mb_are_judged_and_the_bound_is_named() -> None:
    console = parse_console("c", PLAIN * (50_000_000 // len(PLAIN)))
    assert "bytes are more than" in console.bound
    assert console.splats == ()


@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
def test_a_panic_is_found_anywhere_in_a_console_that_exceeds_every_bound(at: float) -> None:
    count = 2 * (HEAD + TAIL) // len(PLAIN)
    first = int(count * at)
    console = parse_console("c", PLAIN * first + PANIC + PLAIN * (count - first))
    assert [(s.kind, s.fatal, s.line) for s in console.splats] == [("panic", True, first + 1)]
    assert console.bound


def test_100000_warnings_are_judged_and_a_panic_behind_them_is_kept() -> None:
    console = parse_console("c", WARN * 100_000 + PANIC)
    assert len(console.splats) == MOST_SPLATS + 1
    assert console.splats[-1].fatal
    assert console.splats[-1].line == 100_001
    assert console.bound


def test_a_line_of_10_mb_is_judged_and_what_stands_in_it_is_found() -> None:
    console = parse_console("c", b"x" * 5_000_000 + b"Kernel panic - not syncing: y" + b"x" * 5_000_000)
    assert [(s.kind, s.line) for s in console.splats] == [("panic", 1)]
    assert f"longer than {LONG_LINE} bytes" in console.bound


def test_words_across_the_pieces_of_a_long_line_are_found_once() -> None:
    for at in range(2040, 2056):
        console = parse_console("c", b"x" * at + b"Kernel panic - not syncing: y" + b"x" * 9000)
        assert [s.kind for s in console.splats] == ["panic"]


HOSTILE = {
    "near matches on one line": NEAR,
    "near matches on lines": (NEAR * 9)[:4000] + b"\n",
    "escapes": b"\x1b[0;",
    "half stamps": b"[ ",
    "stamps": b"[    1.000000] ",
    "traces": b"[    1.000000] Call Trace:\n",
    "cuts": b"[    1.000000] ------------[ cut here ]------------\n",
    "canaries": b"[    1.000000] lab-canary: x\n",
    "second boots": b"[    9.000000] a\n[    0.100000] Linux version 6.12\n",
    "kills": b"[    1.000000] Memory cgroup out of memory: Killed process 5 (x) total-vm:1kB\n",
    "reports": b"[    1.000000] oom-kill:constraint=CONSTRAINT_NONE,task=x,pid=7,uid=0\n",
    "choices": b"[    1.000000] Out of memory: Kill process 7 (x) score 1 or sacrifice child\n",
    "lines": b"\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_console_costs_no_more(name: str) -> None:
    console = parse_console("c", HOSTILE[name] * (2 * MIB // len(HOSTILE[name])))
    assert console.bound or len(console.splats) + len(console.kills) + len(console.canaries) < 1000


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.needle)
def test_a_line_full_of_near_matches_costs_no_more(sign: Sign) -> None:
    needle = sign.needle.encode()
    data = (needle + b" ") * (100_000 // (len(needle) + 1)) + b"\n" + (needle + b"a" * 3900 + b"\n") * 25
    console = parse_console("c", data)
    assert all(0 < splat.line <= console.lines for splat in console.splats)


def test_more_kills_than_are_kept_are_told() -> None:
    kills = b"".join(b"[    1.000000] Out of memory: Killed process %d (x) total-vm:1kB\n" % n for n in range(1200))
    console = parse_console("c", kills)
    assert len(console.kills) == 1000
    assert "200 OOM kills" in console.bound
