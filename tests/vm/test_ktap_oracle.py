# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's own reader of KTAP as an oracle: nothing is a PASS here that it calls a failure.

It boots nothing, and is here because it needs the kernel's source, which the tests beside it build kernels from: what
is not in the cache is fetched.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.evidence.ktap import parse_ktap
from lab.kernels.export import ensure_selftest_source
from lab.verdict.model import Verdict, Word
from tests.unit.selftests.told import CORPUS, verdict

DATA = "tools/testing/kunit/test_data"
STRICTER = {
    "no plan was announced": "it believes a report without a plan, and then cannot miss a result",
    "came behind results": "it takes such a plan for a remark",
    "begins with its plan": "what comes behind the results that were announced may have lost its first line",
    "results were announced": "it ignores what comes behind the last result that was announced",
    "plans were announced": "it takes a second plan for a remark",
    "ends in the middle of a line": "it does not look at how an output ends",
    "it has no result, and does not say": "indentation that differs is the same to it",
    "(without a result)": "the same",
    "stands before the result of": "the same",
    "without the result of its parent": "at the end of an output it does not wait for a parent's result",
    "nested reports stand before the one result": "it takes a repeated version line for a remark",
    "is numbered": "it does not look at the indentation of a result, and counts others than are meant",
    "it bailed out": "it takes `Bail out!` for a remark",
    "a failure outside of every report": "it ignores what comes before the first version line",
    "says ok, but line": "it does not see a failure with which no report has begun",
    ": not ok": "it takes what stands behind `# `, or behind the last result that was announced, for a remark",
    "'s kernel: ": "it lets a kernel panic for want of a root, and knows no other report of a fault",
}
"""What is no PASS here although it is one there, by the words of the finding. docs/selftests.md has it as a table."""


MAX_TESTS = 500
STAMP = re.compile(r"(?:\[[^]]*\])* ?")


@pytest.fixture(scope="module")
def tree() -> Path:
    return ensure_selftest_source("6.12", print)


@pytest.fixture(scope="module")
def oracle(tree: Path) -> Iterator[ModuleType]:
    """kunit_parser. It prints to what was standard output when it was imported."""
    place = str(tree / "tools/testing/kunit")
    sys.path.insert(0, place)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield bounded(importlib.import_module("kunit_parser"))
    finally:
        sys.path.remove(place)


def bounded(parser: ModuleType) -> ModuleType:
    """It takes a second plan for a test for ever, so its tests are counted for each output."""
    parse_test, parse_run_tests = parser.parse_test, parser.parse_run_tests
    tests = itertools.count()

    def counted(*args: object) -> object:
        if next(tests) > MAX_TESTS:
            raise ValueError("it never ends")
        return parse_test(*args)

    def run(lines: list[str]) -> object:
        nonlocal tests
        tests = itertools.count()
        return parse_run_tests(lines)

    parser.parse_test, parser.parse_run_tests = counted, run  # type: ignore[attr-defined]
    return parser


def theirs(oracle: ModuleType, text: str) -> str:
    """Its word; `ERRORS` where it calls a report passed or skipped, and complains of it or breaks all the same."""
    try:
        test = oracle.parse_run_tests(text.splitlines())
    except ValueError:  # "going past EOF", or it does not end
        return "ERRORS"
    return "ERRORS" if test.ok_status() and test.counts.errors else str(test.status.name)


def disagreement(oracle: ModuleType, text: str, *, whole: bool = False) -> str:
    """What both say, where ours is not as strict, or stricter for no reason that is known; "" when they agree.

    whole  a report without a fault: ours has no reason to be stricter
    """
    documents, ours = parse_ktap(text.encode()), verdict(text.encode())
    if documents and not documents[0].version:  # many a selftest prints none; it finds no report without one
        text = f"{STAMP.match(text)[0]}KTAP version 1\n{text}"  # type: ignore[index]
    word = theirs(oracle, text)
    if not documents:  # the exit status speaks, as run_kselftest.sh has it
        agree = word == "FAILURE_TO_PARSE_TESTS"
    elif word not in ("SUCCESS", "SKIPPED"):
        agree = ours.word in (Word.FAIL, Word.ERROR)
    elif ours.word not in (Word.PASS, Word.SKIP):
        agree = not whole and not unexplained(ours)
    else:
        agree = word != "SKIPPED" or ours.word is Word.SKIP
    return "" if agree else f"{word} there, {ours} here: {text}"


def unexplained(ours: Verdict) -> list[str]:
    said = [f.message for f in ours.findings if f.word in (Word.FAIL, Word.ERROR)]
    return [message for message in said if not any(known in message for known in STRICTER)]


def test_its_own_data(oracle: ModuleType, tree: Path) -> None:
    logs = sorted((tree / DATA).glob("*.log"))
    words = {log.stem: theirs(oracle, log.read_text(errors="replace")) for log in logs}
    assert len(logs) >= 20
    assert {"SUCCESS", "FAILURE", "SKIPPED", "NO_TESTS", "TEST_CRASHED"} <= {*words.values()}
    for log in logs:
        assert disagreement(oracle, log.read_text(errors="replace")) == ""


def test_what_passes_there_passes_here(tree: Path) -> None:
    passed = {
        log.stem.removeprefix("test_")
        for log in (tree / DATA).glob("*.log")
        if verdict(log.read_bytes().rstrip() + b"\n").word is Word.PASS
    }
    assert passed >= {
        "is_test_passed-all_passed",
        "is_test_passed-all_passed_nested",
        "is_test_passed-kselftest",
        "parse_attributes",
        "parse_ktap_output",
        "parse_subtest_header",
        "skip_tests",
        "strip_hyphen",
    }


NOT_KNOWN_THERE = ("coloured-terminal", "directives", "skip-all", "stamped-in-part", "subtests-skipped")
"""It knows no colours, no lines that lack the stamp of others, and no test that was skipped as a whole."""
OURS = sorted(path for path in CORPUS.glob("*.ktap") if path.stem not in NOT_KNOWN_THERE)


@pytest.mark.parametrize("output", OURS, ids=lambda output: output.stem)
def test_our_corpus(oracle: ModuleType, output: Path) -> None:
    assert disagreement(oracle, output.read_text()) == ""


NAMES = st.sampled_from(["a", "b", "net.test_v4", "deep one"])
RESULTS = st.sampled_from(["ok", "ok", "ok", "ok", "skip", "not ok"])
Tree = list[tuple[str, Any]]  # of (name, "ok" | "skip" | "not ok" | a tree of its own)
TREES: st.SearchStrategy[Tree] = st.recursive(
    st.lists(st.tuples(NAMES, RESULTS), min_size=1, max_size=3),
    lambda inner: st.lists(st.tuples(NAMES, RESULTS | inner), min_size=1, max_size=3),
    max_leaves=8,
)


def told(tree: Tree, style: str, name: str = "", depth: int = 0) -> list[str]:
    """The report of a tree, nested by `style`, as KUnit writes it. No case is named as the suite that it is in."""
    lines = ["KTAP version 1", *([f"# Subtest: {name}"] if name else []), f"1..{len(tree)}"]
    for number, (plain, inner) in enumerate(tree, 1):
        case = f"{plain}{depth}"
        if isinstance(inner, list):
            lines += [style + line for line in told(inner, style, case, depth + 1)]
        word = "not ok" if inner == "not ok" else "ok"
        if isinstance(inner, list) and "not ok" in str(inner):
            word = "not ok"
        lines.append(f"{word} {number} - {case}{' # SKIP no device' if inner == 'skip' else ''}")
    return lines


STYLES = st.sampled_from(["  ", "    ", "\t"])
STAMPS = st.sampled_from(["", "[    0.060000] ", "[    0.060000][    T1] "])


@given(TREES, STYLES, STAMPS)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whole_reports(oracle: ModuleType, tree: Tree, style: str, stamp: str) -> None:
    assert disagreement(oracle, "".join(f"{stamp}{line}\n" for line in told(tree, style)), whole=True) == ""


NOISE = ["# a remark", "noise", "ok 1 - b", "not ok 2 - x", "1..0", "1..2", "KTAP version 1", "KTAP version 2"]
NOISE += ["    # Subtest: b", "  1..1", "\tok 1 - b", "  not ok 1 - z", "ok 9 - a # SKIP why", ""]


def spoilt(lines: list[str], data: st.DataObject) -> list[str]:
    """One line lost, said twice, exchanged with another, put in, or changed in its number or its word."""
    at = data.draw(st.integers(0, len(lines) - 1))
    how = data.draw(st.sampled_from(["drop", "twice", "swap", "noise", "number", "word", "cut", "indent"]))
    other = data.draw(st.integers(0, len(lines) - 1))
    line, rest = lines[at], lines[at + 1 :]
    match how:
        case "drop":
            return lines[:at] + rest
        case "twice":
            return [*lines[:at], line, line, *rest]
        case "swap":
            lines = list(lines)
            lines[at], lines[other] = lines[other], line
            return lines
        case "noise":
            return [*lines[:at], data.draw(st.sampled_from(NOISE)), *lines[at:]]
        case "number":
            return [*lines[:at], re.sub(r"\d+", str(other), line, count=1), *rest]
        case "word":
            return [*lines[:at], line.replace("ok", "not ok") if "not" not in line else line, *rest]
        case "cut":
            return lines[: max(1, at)]
    return [*lines[:at], data.draw(st.sampled_from([" ", "  ", "\t"])) + line, *rest]


@given(TREES, STYLES, STAMPS, st.data())
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_spoilt_reports(oracle: ModuleType, tree: Tree, style: str, stamp: str, data: st.DataObject) -> None:
    lines = told(tree, style)
    for _ in range(data.draw(st.integers(1, 2))):
        lines = spoilt(lines, data) or ["KTAP version 1"]
    assert disagreement(oracle, "".join(f"{stamp}{line}\n" for line in lines)) == ""
