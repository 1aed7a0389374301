# SPDX-License-Identifier: GPL-2.0-only
"""What is more than a bundle may hold is not read, and is an ERROR that names the bound."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest

from lab.errors import BadInput
from lab.evidence import bounds
from lab.evidence.bundle import MOST_TOLD, parse, record_of
from lab.evidence.counts import parse_counts
from lab.evidence.lines import cut, exceeded
from lab.evidence.names import TIMING
from lab.evidence.programs import counting, parse_program
from lab.evidence.telemetry import parse_checkpoints, parse_telemetry
from lab.evidence.timing import MOST_SPANS, out_of_bounds, parse_timing
from lab.plan.case import Counter
from lab.verdict.model import Word
from tests.known import judge
from tests.unit.evidence.test_parsers import CHECKPOINT, GROUP, PROGRESS, SAMPLE, lines
from tests.unit.verdict.builder import story
from tests.unit.verdict.told import with_digest


def with_file(path: str, data: bytes) -> dict[str, bytes]:
    """A whole bundle in which one file is another, as its manifest says."""
    files = story("hold").files()
    manifest = json.loads(files["manifest.json"])
    manifest["files"][path] = record_of(data).model_dump()
    return {**files, path: data, "manifest.json": with_digest(manifest)}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.evidence.lines.LINES", 5)
    monkeypatch.setattr("lab.evidence.lines.SAMPLES", 3)
    monkeypatch.setattr("lab.evidence.lines.LINE", 8)


def test_lines_are_numbered_as_in_the_file_and_what_follows_the_last_newline_is_no_line() -> None:
    told = cut(b"a\n\n \nb\r\nc")
    assert list(told) == [(1, b"a"), (4, b"b\r")]
    assert (told.rest, told.bound) == (b"c", "")
    assert (list(cut(b"")), cut(b"").rest) == ([], b"")


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("data", "bound", "numbers"),
    [
        (b"\n" * 5 + b"x", "", []),
        (b"\n" * 6, "more than 5 lines", []),
        (b"\n\n\n\na\nb\n", "more than 5 lines", [5]),
        (b"a\nb\nc\n\n\n", "", [1, 2, 3]),
        (b"a\nb\nc\nd\n", "more than 3 lines that are not empty", [1, 2, 3]),
        (b"12345678\n12345678\n", "", [1, 2]),
        (b"1\n123456789\n3\n", "a line of more than 1 KiB", [1, 3]),
        (b"1\n123456789", "a line of more than 1 KiB", [1]),
    ],
)
def test_bounds_of_lines(data: bytes, bound: str, numbers: list[int]) -> None:
    told = cut(data)
    assert (told.bound, [number for number, _ in told]) == (bound, numbers)
    assert exceeded(data) == bound


@pytest.mark.usefixtures("small")
def test_no_parser_takes_a_part_of_a_file_for_the_whole() -> None:
    many = b"\n" * 6
    assert parse_telemetry(many).truncated
    assert parse_checkpoints(many).truncated
    assert parse_program("p", "p", many).truncated
    assert parse_counts(many) is None


def test_forty_mib_of_newlines_take_no_memory_beside_themselves() -> None:
    data = b"\n" * (40 * 2**20)
    tracemalloc.start()
    try:
        assert parse_telemetry(data).truncated
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "path", ["receiver/console.log", "receiver/telemetry.jsonl", "clients/abuser.jsonl", "more.bin"]
)
def test_a_file_beyond_its_bound_is_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    files = with_file(path, story("hold").files().get(path, b"x" * 99))
    assert judge(parse(files)).word is Word.PASS
    least = len(files[path]) - 1
    monkeypatch.setattr("lab.evidence.files.bound_of", lambda p: least if p == path else bounds.bound_of(p))
    evidence = parse(files)
    # Of a file that no parser asks for nothing is read but its hash.
    told = [p for p in evidence.problems if p.startswith(path) and "and no more than" in p]
    assert bool(told) == (path != "more.bin")
    assert judge(evidence).word is (Word.ERROR if told else Word.PASS)


def test_a_panic_before_the_bound_is_still_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    path, panic = "receiver/console.log", b"[    9.000000] Kernel panic - not syncing: Fatal exception\r\n"
    files = with_file(path, panic + b"x\n" * 4096)
    monkeypatch.setattr("lab.evidence.files.bound_of", lambda p: 1024 if p == path else bounds.bound_of(p))
    evidence = parse(files)
    assert any("no more than 1 KiB" in problem for problem in evidence.problems)
    assert evidence.receiver.console.lines < 1024
    assert judge(evidence).word is Word.FAIL


def test_too_many_lines_are_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.evidence.lines.LINES", 5)
    evidence = parse(story("hold").files())
    assert "receiver/telemetry.jsonl: too much to be read: more than 5 lines" in evidence.problems
    assert judge(evidence).word is Word.ERROR


@pytest.mark.parametrize(
    "change",
    [
        {"t": 1e300},
        {"t": -1},
        {"seq": 2**64},
        {"pcp_pages": 10**400},
        {"meminfo": SAMPLE["meminfo"] | {"x": 2**64}},
        {"meminfo": SAMPLE["meminfo"] | {str(n): n for n in range(600)}},
        {"meminfo": SAMPLE["meminfo"] | {"x" * 300: 1}},
        {"cg": {"a": GROUP | {"current": 2**64}}},
        {"cg": {"a": GROUP | {"max": 2**64}}},
        {"cg": {str(n): GROUP for n in range(600)}},
    ],
)
def test_numbers_and_tables_have_bounds(change: dict[str, Any]) -> None:
    assert parse_telemetry(lines(SAMPLE | change)).truncated
    assert parse_checkpoints(lines(CHECKPOINT | change)).truncated


@pytest.mark.parametrize(
    "line",
    [
        json.dumps(PROGRESS | {"t": 1e300}),
        json.dumps(PROGRESS | {"delivered": 2**64}),
        json.dumps(PROGRESS | {"errno": -(10**400)}),
        json.dumps(PROGRESS | {str(n): n for n in range(200)}),
        '{"t":1,"event":"x","delivered":' + "9" * 5000 + "}",
        '{"t":NaN,"event":"x"}',
        '{"t":1,"event":"x","a":' + "[" * 100_000 + "]" * 100_000 + "}",
    ],
)
def test_programs_are_refused_what_no_program_says(line: str) -> None:
    counters = frozenset({Counter("delivered")})
    assert counting(parse_program("p", "p", line.encode() + b"\n"), counters).truncated


@pytest.mark.parametrize("bad", ["1e308", "-1e308", "1e8", "NaN", "Infinity", "9" * 5000, "[" * 100_000])
def test_timing_without_bounds_is_refused(bad: str) -> None:
    data = f'{{"seconds":1,"spans":[{{"name":"x","lane":"case","began":0,"ended":{bad}}}]}}'.encode()
    assert parse_timing(data) is None
    assert parse(with_file(TIMING, data)).timing is None


def test_what_a_timing_exceeds_is_an_error_that_names_it() -> None:
    span = {"name": "x", "lane": "case", "began": 0, "ended": 1}
    for told, key in (
        ({"seconds": 1e308, "spans": []}, "seconds"),
        ({"seconds": 1, "spans": [span | {"began": -1e308}]}, "spans.0.began"),
        ({"seconds": 1, "spans": [span] * (MOST_SPANS + 1)}, "spans"),
        ({"seconds": 1, "spans": [span | {"name": "x" * 300}]}, "spans.0.name"),
    ):
        data = json.dumps(told).encode()
        assert out_of_bounds(data).startswith(f"{key}: ")
        evidence = parse(with_file(TIMING, data))
        assert [p.partition(" read: ")[2].partition(":")[0] for p in evidence.problems] == [key]
        assert judge(evidence).word is Word.ERROR
    assert out_of_bounds(b"no JSON") == ""


def test_a_manifest_beyond_its_bound_is_refused_unread() -> None:
    with pytest.raises(BadInput, match="no more than 8 MiB"):
        parse({"manifest.json": b" " * (bounds.MANIFEST + 1)})


def test_problems_are_told_until_a_reader_has_had_enough() -> None:
    files = story("hold").files()
    manifest = json.loads(files["manifest.json"])
    manifest["files"] |= {f"f{n}": record_of(b"").model_dump() for n in range(5000)}
    evidence = parse({**files, "manifest.json": with_digest(manifest)})
    assert len(evidence.problems) == MOST_TOLD + 1
    assert judge(evidence).word is Word.ERROR
    manifest["files"] = {f"../{n}": {} for n in range(5000)}
    with pytest.raises(BadInput) as refusal:
        parse({**files, "manifest.json": with_digest(manifest)})
    assert len(refusal.value.problems) == MOST_TOLD + 1


def test_a_reference_has_no_reference_of_its_own() -> None:
    files = story("cost").files()
    deeper = {f"reference/{path}": data for path, data in files.items()}
    evidence = parse({**files, **deeper})
    assert evidence.reference is not None
    assert evidence.reference.reference is None
