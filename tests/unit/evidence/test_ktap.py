# SPDX-License-Identifier: GPL-2.0-only
"""KTAP: the corpus of outputs with their expected parse, and what no output may do to the parser.

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

from lab.evidence.ktap import leaves, parse_ktap, problems_in

CORPUS = Path(__file__).parents[2] / "corpus" / "ktap"
OUTPUTS = sorted(CORPUS.glob("*.ktap"))
SOUND = (
    "coloured-terminal",
    "directives",
    "hidden-by-parent",
    "kunit",
    "nested",
    "no-ktap",
    "panic-midway",
    "ping-6.12",
    "skip-all",
    "stamped-failure",
    "stamped-in-part",
    "stamped-indented",
    "stamped-nested",
    "subtests-skipped",
    "syslog",
)
STAMPS = (
    "[   12.345678] ",
    "[   12.345678][    T1] ",
    "[    T123] ",
    "[   12.345678][   C0] ",
    "<6>[   12.345678] ",
    "<6>",
    "6,1234,12345678,-;",
    "6,1234,12345678,-,caller=T1;",
    "[   12.345678 <    0.000012>] ",
    "[Fri Nov 27 02:03:00 2026] ",
    "2026-11-27T02:03:00,123456+00:00 ",
    "2026-11-27T02:03:00.123456+00:00 receiver kernel: [   12.345678] ",
    "kern  :info  : [   12.345678] ",
    "Nov  7 02:03:00 receiver kernel: ",
    "<6>Nov  7 02:03:00 receiver kernel: [   12.345678][    T1] ",
    "[   12.345678] receiver kernel: ",
    "\x1b[32m[   12.345678] \x1b[0m",
    "# [   12.345678] ",
    "#     ",
)


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output.stem)
def test_corpus(output: Path) -> None:
    found = json.loads(json.dumps([asdict(document) for document in parse_ktap(output.read_bytes())]))
    expected = output.with_suffix(".json")
    if os.environ.get("LAB_UPDATE_CORPUS") == "1":
        expected.write_text(json.dumps(found, indent=1) + "\n")
    assert found == json.loads(expected.read_text())


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output.stem)
def test_only_whole_reports_are_without_problems(output: Path) -> None:
    assert (not list(problems_in(parse_ktap(output.read_bytes())))) == (output.stem in SOUND)


def test_nested_results_are_named_by_their_path() -> None:
    documents = parse_ktap((CORPUS / "nested.ktap").read_bytes())
    assert [(path, result.ok) for path, result in leaves(documents)] == [
        ("suite/deep/one", True),
        ("suite/deep", True),
        ("suite/deeper/two", False),
        ("suite/deeper/three", True),
        ("suite/deeper", False),
        ("suite", False),
        ("other", True),
    ]


@pytest.mark.parametrize("stamp", STAMPS)
@pytest.mark.parametrize("indent", ["", "  ", "    ", "\t", "# "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_failure_behind_a_stamp_is_a_failure(stamp: str, indent: str, end: str) -> None:
    for text in ("KTAP version 1", "1..1", "not ok 1 - a"), ("not ok 1 - a",):
        whole = "".join(f"{stamp}{indent}{line}{end}" for line in text)
        assert _failures(f"KTAP version 1\n1..1\n{whole}ok 1 b\n".encode())
        assert _failures(whole.encode())


@pytest.mark.parametrize("stamp", STAMPS)
@pytest.mark.parametrize("output", [o for o in OUTPUTS if o.stem in ("kunit", "nested", "hidden-by-parent")])
def test_stamps_change_nothing_else(stamp: str, output: Path) -> None:
    def said(data: bytes) -> list[tuple[str, bool]]:
        assert not list(problems_in(parse_ktap(data)))
        return [(path, result.ok) for path, result in leaves(parse_ktap(data))]

    plain = output.read_bytes()
    assert said(b"".join(stamp.encode() + line for line in plain.splitlines(keepends=True))) == said(plain)


@pytest.mark.parametrize(
    ("data", "bound"),
    [
        (b"ok 1 a\n" * 9 + b"x" * (10 << 20) + b"\n", "line 10 of the output is longer than"),
        (b"".join(b"\t" * n + b"KTAP version 1\n" for n in range(10_000)), "nested deeper than"),
        (b"ok 1 a\n" * 200_000, "more than 100000 results"),
        (b"\n" * 2_000_000, "more than 1000000 lines"),
        ((b"x" * 99 + b"\n") * 1_000_000, "bytes, and no more than"),
    ],
    ids=["line", "depth", "results", "lines", "bytes"],
)
def test_what_exceeds_a_bound_is_told(data: bytes, bound: str) -> None:
    documents = parse_ktap(data)
    assert any(bound in problem for _, problem in problems_in(documents))


@pytest.mark.parametrize("piece", ["# ", "[# ", "- # SKIP", "[1.0]", "  ", "\t#", "a: ", ":", "\\#", "[    1.000000] "])
@pytest.mark.parametrize("line", ["ok 1 {} x", "{}not ok 1 x", "1..1{}x", "# Subtest: {}x"])
def test_a_long_line_of_near_matches_is_read(piece: str, line: str) -> None:
    """Some 10 ms each. With a pattern that takes the square of its length, this file does not end."""
    documents = parse_ktap(line.format(piece * (65_000 // len(piece))).encode())
    assert len(documents) <= 1


@given(st.binary(max_size=2000))
def test_any_bytes_are_an_output(data: bytes) -> None:
    lines = data.count(b"\n") + 1
    assert all(1 <= result.line <= lines for _, result in leaves(parse_ktap(data)))


@given(st.sampled_from([o for o in OUTPUTS if o.stem in SOUND and o.stem not in ("no-ktap", "skip-all")]), st.data())
def test_a_report_cut_short_has_a_problem(output: Path, data: st.DataObject) -> None:
    lines = output.read_bytes().splitlines(keepends=True)
    results = [n for n, line in enumerate(lines) if b"ok " in line and not line.startswith(b"#")]
    at = data.draw(st.integers(0, results[-1]))
    documents = parse_ktap(b"".join(lines[:at]))
    assert not documents or list(problems_in(documents))


@given(st.sampled_from(OUTPUTS), st.text("abc .!#", max_size=30), st.integers(0, 100))
def test_what_a_test_says_besides_hides_no_failure(output: Path, noise: str, at: int) -> None:
    data = output.read_bytes()
    lines = data.splitlines(keepends=True)
    where = at % (len(lines) + 1)
    noisy = b"".join([*lines[:where], f"{noise}\n".encode(), *lines[where:]])
    if where < len(lines) or data.endswith(b"\n"):
        assert _failures(data) == _failures(noisy)


def _failures(data: bytes) -> list[str]:
    return [path for path, result in leaves(parse_ktap(data)) if not result.ok and result.directive != "ERROR"]
