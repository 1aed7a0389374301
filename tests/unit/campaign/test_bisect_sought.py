# SPDX-License-Identifier: GPL-2.0-only
"""Which runs show the failure that is looked for, which do not, and which say nothing of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.campaign.bisect.model import Seen, Sought, Told
from lab.campaign.bisect.sought import Mark, asked_for, frames_of, mark, shown_by, tally
from tests.unit.campaign.world import run_of

CHARGED = Sought("charged", "FAIL", (), "charged said so")

OOPS = b"""\
[    9.000000] hello
[   10.123456] BUG: kernel NULL pointer dereference, address: 0000000000000008
[   10.123460] CPU: 0 UID: 0 PID: 77 Comm: zc-client Not tainted 6.12.0-lab #1
[   10.123461] RIP: 0010:tcp_zerocopy_receive+0x1f2/0x9a0
[   10.123470] Call Trace:
[   10.123471]  <TASK>
[   10.123472]  ? __die_body+0x1a/0x60
[   10.123473]  ? page_fault_oops+0x15c/0x180
[   10.123474]  tcp_zerocopy_receive+0x1f2/0x9a0
[   10.123475]  do_tcp_getsockopt+0x2e0/0x8a0
[   10.123476]  __sys_getsockopt+0x9c/0xf0
[   10.123477]  </TASK>
[   10.123480] ---[ end trace 0000000000000000 ]---
"""
BAD_PAGE = b"""\
[   20.000000] BUG: Bad page state in process zc-client  pfn:12345
[   20.000001] Call Trace:
[   20.000002]  <TASK>
[   20.000003]  dump_stack_lvl+0x5d/0x80
[   20.000004]  bad_page+0x70/0x100
[   20.000005]  free_unref_page+0x2c0/0x4f0
[   20.000006]  zap_pte_range+0x11/0x22
"""


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (run_of("FAIL", 1, "s"), Mark.SHOWN),
        (run_of("PASS", 1, "s"), Mark.ABSENT),
        (run_of("DONE", 1, "s"), Mark.ABSENT),
        (run_of("FAIL", 1, "s", "witnesses"), Mark.OTHER),
        (run_of("FAIL", 1, "s", "kernel-alive"), Mark.OTHER),
        (run_of("ERROR", 1, "s", "charged"), Mark.NOTHING),
        (run_of("MISS", 1, "s", "charged"), Mark.NOTHING),
        (run_of("SKIP", 1, "s"), Mark.NOTHING),
    ],
)
def test_a_run_is_an_observation_only_with_a_verdict_on_what_is_sought(seen: Seen, said: Mark) -> None:
    assert mark(seen, CHARGED) is said


def test_an_error_counts_for_a_search_that_asks_for_it_and_for_no_other() -> None:
    seen = run_of("ERROR", 1, "s", "preflight")
    assert mark(seen, Sought("preflight", "ERROR", (), "")) is Mark.SHOWN
    assert mark(seen, Sought("preflight", "FAIL", (), "")) is Mark.NOTHING
    assert mark(run_of("FAIL", 1, "s"), Sought("preflight", "ERROR", (), "")) is Mark.OTHER


def test_what_else_fails_where_a_kernel_died_is_not_the_sought_failure() -> None:
    died = replace(
        run_of("FAIL", 1, "s", "kernel-alive"),
        told=(Told("kernel-alive", "FAIL", "oops"), Told("charged", "FAIL", "charged said so")),
    )
    assert mark(died, CHARGED) is Mark.OTHER


def test_a_kernel_that_dies_of_what_the_case_is_about_shows_it() -> None:
    """A panic for want of memory beside a broken promise: no fault, see Verdict.kernel_fault."""
    both = (Told("kernel-alive", "FAIL", "panic"), Told("charged", "FAIL", "charged said so"))
    spent = replace(run_of("FAIL", 1, "s"), told=both)
    assert mark(spent, CHARGED) is Mark.SHOWN
    assert shown_by([spent]) == CHARGED


def test_splats_are_the_same_where_they_happened_at_the_same_place() -> None:
    here, there = (run_of("FAIL", 1, "s", "kernel-alive", frames) for frames in (("a", "b"), ("c", "b")))
    sought = shown_by([here])
    assert mark(here, sought) is Mark.SHOWN
    assert mark(replace(here, told=(replace(here.told[0], frames=("a", "z")),)), sought) is Mark.SHOWN
    assert mark(there, sought) is Mark.OTHER
    assert mark(run_of("FAIL", 1, "s", "kernel-alive"), sought) is Mark.OTHER


def test_splats_without_a_trace_are_the_same_by_their_words_without_numbers() -> None:
    def hung(text: str) -> Seen:
        return replace(run_of("FAIL", 1, "s", "kernel-alive"), told=(Told("kernel-alive", "FAIL", text),))

    sought = shown_by([hung("the receiver's kernel: hung-task: task zc:12 blocked for 30 s")])
    assert mark(hung("the sender's kernel: hung-task: task zc:77 blocked for 61 s"), sought) is Mark.SHOWN
    assert mark(hung("the receiver's kernel: soft-lockup: CPU 0"), sought) is Mark.OTHER


def test_the_bad_end_says_what_is_sought_by_most_of_its_failures() -> None:
    runs = [run_of("FAIL", 1, "s", "witnesses"), run_of("PASS", 2, "s"), *(run_of("FAIL", n, "s") for n in (3, 4))]
    assert shown_by(runs) == CHARGED
    assert shown_by([run_of("PASS", 1, "s"), run_of("ERROR", 2, "s")]) is None


def test_what_was_asked_for_has_to_be_seen_before_it_is_sought() -> None:
    runs = [run_of("FAIL", 1, "s"), run_of("ERROR", 2, "s", "preflight")]
    assert asked_for("charged", runs) == CHARGED
    assert asked_for("preflight", runs) == Sought("preflight", "ERROR", (), "preflight said so")
    assert asked_for("witnesses", runs) is None


@pytest.mark.parametrize(
    ("word", "rule", "said"),
    [
        ("PASS", "", Mark.SHOWN),
        ("FAIL", "charged", Mark.ABSENT),
        ("FAIL", "kernel-alive", Mark.OTHER),
        ("ERROR", "x", Mark.NOTHING),
        ("MISS", "x", Mark.NOTHING),
    ],
)
def test_passing_can_be_sought(word: str, rule: str, said: Mark) -> None:
    assert mark(run_of(word, 1, "s", rule), asked_for("PASS", [])) is said


def test_the_top_frames_are_read_below_the_line_without_what_tells_of_them() -> None:
    assert frames_of(OOPS, 2) == ("tcp_zerocopy_receive", "do_tcp_getsockopt", "__sys_getsockopt")
    assert frames_of(BAD_PAGE, 1) == ("free_unref_page", "zap_pte_range")
    assert frames_of(OOPS, 400) == ()
    assert frames_of(b"\xff\x00 nothing\n" * 10, 1) == ()


def test_a_tally_counts_observations_alone() -> None:
    words = ("FAIL", "PASS", "MISS", "ERROR", "SKIP", "PASS")
    assert str(tally([run_of(word, n, "s") for n, word in enumerate(words)], CHARGED)) == "1:3"
