# SPDX-License-Identifier: GPL-2.0-only
"""Verdicts on selftests: what passes, and above all what must not. Bundles of before get the same words."""

from __future__ import annotations

from typing import Any

import pytest

from lab.errors import BadInput
from lab.report.ktap import render
from lab.report.model import Session
from lab.report.parts import as_record
from lab.verdict.model import Word
from suites.selftests.commands import lacking
from suites.selftests.older import parse_older
from suites.selftests.table import RECORD, SELFTEST_ROWS, row_for
from tests.unit.selftests.told import (
    CORPUS,
    GOOD,
    MSG_ZEROCOPY,
    RECEIVED,
    TCP_MMAP,
    TRANSFERS,
    incident,
    result,
    verdict,
)


def test_a_whole_report_and_exit_status_0_pass() -> None:
    assert verdict().word is Word.PASS


@pytest.mark.parametrize(
    ("status", "word"),
    [(0, "PASS"), (1, "FAIL"), (2, "SKIP"), (3, "PASS"), (4, "SKIP"), (5, "ERROR"), (127, "ERROR"), (139, "ERROR")],
)
def test_without_a_report_the_exit_status_speaks(status: int, word: str) -> None:
    assert verdict(b"hello\n", status=status).word == word


def test_a_good_report_does_not_excuse_a_bad_exit_status() -> None:
    assert verdict(status=1).word is Word.FAIL
    assert verdict(status=139).word is Word.ERROR
    assert verdict(status=4).word is Word.SKIP


@pytest.mark.parametrize(
    ("stem", "word"),
    {
        "bail-out": "ERROR",
        "buffer-flushed-by-children": "ERROR",
        "cut-in-a-line": "ERROR",
        "hidden-by-parent": "FAIL",
        "kunit": "PASS",
        "long-plan": "ERROR",
        "misnumbered": "ERROR",
        "nested": "FAIL",
        "no-plan": "ERROR",
        "number-twice": "ERROR",
        "numbers-swapped": "ERROR",
        "panic-midway": "FAIL",
        "parent-lost": "FAIL",
        "ping-6.12": "PASS",
        "short-plan": "ERROR",
        "skip-all": "SKIP",
        "stamped-failure": "FAIL",
        "stamped-failure-beside": "FAIL",
        "stamped-in-part": "PASS",
        "stamped-indented": "FAIL",
        "stamped-midway": "FAIL",
        "stamped-nested": "FAIL",
        "stray-failure": "FAIL",
        "subtest-of-another": "ERROR",
        "subtest-of-none": "ERROR",
        "subtest-without-plan": "ERROR",
        "subtest-without-results": "ERROR",
        "subtests-skipped": "SKIP",
        "syslog": "FAIL",
        "two-programs": "ERROR",
        "unknown-prefix": "ERROR",
    }.items(),
)
def test_outputs_of_the_corpus(stem: str, word: str) -> None:
    assert verdict((CORPUS / f"{stem}.ktap").read_bytes()).word == word


def test_directives() -> None:
    found = verdict((CORPUS / "directives.ktap").read_bytes())
    assert [part.word for part in found.parts] == ["SKIP", "SKIP", "SKIP", "SKIP", "ERROR", "PASS"]
    assert found.word is Word.ERROR


def test_all_skipped_is_a_skip_with_its_reasons() -> None:
    found = verdict(b"TAP version 13\n1..1\nok 1 # SKIP needs a moon\n")
    assert found.word is Word.SKIP
    assert "needs a moon" in found.findings[-1].message


def test_a_plan_without_a_case_is_no_pass() -> None:
    assert verdict(b"TAP version 13\n1..0 # SKIP no moon\n").word is Word.SKIP
    assert verdict(b"TAP version 13\n1..0 # Skipped: no moon\n").word is Word.SKIP
    assert verdict(b"TAP version 13\n1..0\n").word is Word.ERROR
    assert verdict(b"TAP version 13\n").word is Word.ERROR


@pytest.mark.parametrize("output", [GOOD, b"TAP version 13\n1..1\nnot ok 1 a\n", b""])
def test_a_fault_of_the_kernel_is_a_fail_whatever_the_test_says(output: bytes) -> None:
    console = b"[    1.000000] WARNING: CPU: 0 PID: 1 at mm/x.c:1 f+0x0/0x1\n"
    assert verdict(output, console=console).word is Word.FAIL
    assert verdict(output, console=console, incidents=(incident("lost"),), status=None).word is Word.FAIL
    assert verdict(output, incidents=(incident("hang"),), status=None).word is Word.FAIL


PANIC = b"Kernel panic - not syncing: Fatal exception\n"


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (PANIC, "FAIL"),
        (b"[   12.300000] " + PANIC, "FAIL"),
        (b"[   12.300000] WARNING: CPU: 0 PID: 1 at mm/x.c:1 f+0x0/0x1\n", "FAIL"),
        (b"WARNING: CPU: 0 PID: 1 at mm/x.c:1 is what we look for\n", "PASS"),
        (b"# no trace of it\n", "PASS"),
    ],
)
def test_the_kernels_words_count_in_the_output_too(said: bytes, word: str) -> None:
    assert verdict(GOOD.replace(b"ok 2", said + b"ok 2")).word == word


def test_an_output_that_is_too_long_is_an_error_with_or_without_a_report() -> None:
    for output in (b"hello\n", GOOD):
        found = verdict(b"x" * 100_000 + b"\n" + output)
        assert found.word is Word.ERROR
        assert any("is longer than the 65536 bytes" in finding.message for finding in found.findings)


def test_a_case_whose_own_cases_were_all_skipped_has_not_passed() -> None:
    found = verdict((CORPUS / "subtests-skipped.ktap").read_bytes())
    assert {part.name: (part.word, part.reason) for part in found.parts} == {
        "a": ("SKIP", "no device"),
        "b/x": ("SKIP", "no device"),
        "b": ("SKIP", "no device"),
    }


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        (0, 0, "PASS"),
        (0, 1 << 9, "FAIL"),
        (1 << 12, 1 << 12 | 1 << 7, "FAIL"),
        (1 << 9, 1 << 9, "FAIL"),
        (0, 1 << 12, "PASS"),
    ],
)
def test_a_fault_that_no_console_shows_is_told_by_the_taint(before: int, after: int, word: str) -> None:
    assert verdict(tainted={"receiver": (before, after)}).word == word


def test_a_kernel_without_the_options_asked_for_has_not_failed_unless_the_test_has_a_row() -> None:
    bad = b"TAP version 13\n1..1\nnot ok 1 a\n"
    wants = lacking("# net\nCONFIG_A=y\nCONFIG_B=m\nCONFIG_C=y\n", "CONFIG_A=y\nCONFIG_B=m\n")
    assert wants == ("CONFIG_B", "CONFIG_C")
    assert verdict(bad, status=1, lacking=wants).word is Word.ERROR
    assert verdict(bad, row_for("drivers/net/ping.py", None), status=1, lacking=wants).word is Word.FAIL
    assert verdict(bad, status=1, lacking=wants, tainted={"receiver": (0, 1 << 7)}).word is Word.FAIL
    assert verdict(status=0, lacking=wants).word is Word.PASS


def test_trouble_of_the_lab_is_a_miss_even_after_a_failure() -> None:
    for output in (GOOD, b"TAP version 13\n1..2\nnot ok 1 a\n"):
        assert verdict(output, incidents=(incident("lost"),), status=None).word is Word.MISS
    assert verdict(status=None).word is Word.MISS


def test_time_that_is_up_is_an_error_and_a_failure_before_it_stays_one() -> None:
    assert verdict(b"TAP version 13\n1..2\nok 1 a\n", timed_out="t", status=None).word is Word.ERROR
    assert verdict(b"TAP version 13\n1..2\nnot ok 1 a\n", timed_out="t", status=None).word is Word.FAIL


def test_what_was_not_built_or_does_not_apply() -> None:
    assert verdict(built="no such header").word is Word.ERROR
    assert verdict(skip="no veth").word is Word.SKIP


def test_cases_of_the_source_stand_for_a_plan_that_is_not_announced() -> None:
    output = b"ok 1 test_a\nok 2 # SKIP test_b\n"
    assert verdict(output, cases=("test_a", "test_b")).word is Word.PASS
    assert verdict(output, cases=("test_a", "test_b", "test_c")).word is Word.ERROR
    assert verdict(b"ok 1 test_a\nnot ok 2 test_b\n", cases=("test_a", "test_b"), status=1).word is Word.FAIL
    assert verdict(b"", cases=("test_a",)).word is Word.ERROR
    assert verdict(b"ok 1 test_a\nok 1 test_a\n", cases=("test_a",)).word is Word.ERROR


def test_tcp_mmap() -> None:
    def word_of(output: bytes, **fields: object) -> Word:
        given: dict[str, Any] = {"status": None, "peer_status": 124, "floor": 0.8, **fields}
        return verdict(output, TCP_MMAP, **given).word

    assert word_of(RECEIVED) is Word.PASS
    assert word_of(RECEIVED.replace(b"99.995", b"12.5")) is Word.ERROR
    assert word_of(RECEIVED.replace(b"99.995", b"nan")) is Word.ERROR
    assert word_of(RECEIVED.replace(b"1316.12", b"3")) is Word.ERROR
    assert word_of(b"") is Word.ERROR
    assert word_of(b"", peer_status=0) is Word.FAIL  # getsockopt() fails: the server closes, the client gives up
    assert word_of(RECEIVED, peer_status=1) is Word.ERROR
    assert word_of(RECEIVED, status=139) is Word.ERROR


def test_msg_zerocopy() -> None:
    last = b"OK. All tests passed\n"
    assert verdict(TRANSFERS + last, MSG_ZEROCOPY).word is Word.PASS
    assert verdict(TRANSFERS, MSG_ZEROCOPY).word is Word.ERROR
    missed = b"./msg_zerocopy: send: Connection refused\n"  # seen on a busy host
    assert verdict(TRANSFERS + missed, MSG_ZEROCOPY, status=1).word is Word.ERROR
    assert verdict(TRANSFERS + last, MSG_ZEROCOPY, status=1).word is Word.FAIL
    assert verdict(TRANSFERS.replace(b"rx=868", b"rx=0") + last, MSG_ZEROCOPY).word is Word.ERROR
    assert verdict(TRANSFERS.replace(b"txc=2060", b"txc=0") + last, MSG_ZEROCOPY).word is Word.ERROR


def test_every_row_names_its_reason_and_its_numbers() -> None:
    for row in SELFTEST_ROWS.values():
        assert row.reason
        assert row.proof == "ktap" or all(expect.count and expect.meaning for expect in row.expects)


def test_ktap_of_the_session_nests_cases_and_vouches_only_for_passes() -> None:
    results = (result(GOOD), result(b"TAP version 13\n1..2\nok 1 a\n"))
    text = render(Session("s", "", results, 1.0, "lab selftest"))
    assert text.startswith(
        "KTAP version 1\n1..2\n  KTAP version 1\n  1..2\n  ok 1 a\n  ok 2 b\nok 1 net/plain.sh.loopback.stock.6.12\n"
    )
    assert "\n# ERROR plan: 2 results were announced, 1 came" in text
    assert "\nnot ok 2 net/plain.sh.loopback.stock.6.12.2\n" in text


def test_a_test_as_plain_values() -> None:
    told = as_record(result(b"TAP version 13\n1..2\nok 1 a\nnot ok 2 b\n"), "/r/b")
    assert (told["test"], told["verdict"], told["status"], told["source"]) == ("net/plain.sh", "FAIL", 0, "/src")
    assert told["cases"][1] == {"name": "b", "verdict": "FAIL", "reason": "not ok", "line": 4}
    assert (told["nic"], told["bundle"]) == ("loopback", "/r/b")


@pytest.mark.parametrize("data", [b"", b"{}", b'{"format": 1, "colour": 2}'])
def test_a_record_nobody_understands_is_bad_input(data: bytes) -> None:
    with pytest.raises(BadInput, match=r"selftest\.json"):
        parse_older({RECORD: data})
    with pytest.raises(BadInput, match=r"selftest\.json is not there"):
        parse_older({})


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (b"[   40.000000] [ BUG: Invalid wait context ]\n", "FAIL"),
        (b"[   40.000000] Call Trace:\n", "ERROR"),
        (b"[   40.000000] x: page allocation failure: order:0, mode:0xcc0(GFP_KERNEL)\n", "PASS"),
    ],
)
def test_a_console_counts_by_how_sure_its_words_are(line: bytes, word: str) -> None:
    assert verdict(console=line).word.value == word
