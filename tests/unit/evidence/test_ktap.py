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
SOUND = ("coloured-terminal", "directives", "hidden-by-parent", "kunit", "nested", "no-ktap", "ping-6.12", "skip-all")


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
