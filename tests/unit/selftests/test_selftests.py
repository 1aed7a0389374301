# SPDX-License-Identifier: GPL-2.0-only
"""Selftests found, built and packed, in a tree that is never written to."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from lab.errors import BadInput, HostTrouble
from lab.experiments.contract import Asked
from suites.selftests.build import build, cases_of, ensure_headers, pack
from suites.selftests.find import Chosen, choose, read_collection
from suites.selftests.more import More
from suites.selftests.source import SourceTree, source_tree
from suites.selftests.table import SELFTEST_ROWS, SELFTESTS, Selftest
from tests.unit.selftests.tree import small_tree


@pytest.fixture(name="tree")
def _tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SourceTree:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    return source_tree(small_tree(tmp_path / "linux"))


def quiet(_what: str) -> None:
    """Nobody looks."""


def content(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def only(names: list[str], tree: SourceTree) -> Chosen:
    (chosen,) = choose(names, tree)
    return chosen


def test_a_directory_means_what_run_tests_runs_and_a_name_may_lack_its_suffix(tree: SourceTree) -> None:
    assert [c.test.name for c in choose(["demo"], tree)] == ["demo/script.sh", "demo/answers", "demo/broken"]
    assert [c.test.name for c in choose(["demo/", "demo/script", "demo/answers"], tree)] == [
        "demo/script.sh",
        "demo/answers",
        "demo/broken",
    ]
    assert only(["tools/testing/selftests/demo/script.sh"], tree).test.seconds == 4 * 7


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("demoo", "there is no directory 'demoo'; close: demo"),
        ("demo/scrip", "demo has no test 'scrip'; close: demo/script.sh"),
        ("demo/helper", "demo has no test 'helper'"),
        ("bare", "bare has no Makefile"),
        ("bare/x", "bare has no Makefile"),
        ("empty", "its Makefile names no test"),
        ("wrong", "its Makefile cannot be read"),
        ("wrong/x", "its Makefile cannot be read"),
        ("..", "not a name below"),
        ("/demo", "not a name below"),
        ("", "not a name below"),
        ("demo answers", "not a name below"),
        ("demo/./x", "not a name below"),
    ],
)
def test_wrong_names(name: str, told: str, tree: SourceTree) -> None:
    with pytest.raises(BadInput, match=told):
        choose([name], tree)


def test_all_wrong_names_are_told_at_once(tree: SourceTree) -> None:
    with pytest.raises(BadInput) as caught:
        choose(["demo", "demoo", "demo/scrip"], tree)
    assert len(caught.value.problems) == 2


def test_a_name_that_no_source_can_have_is_refused_before_one_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []
    monkeypatch.setattr("lab.kernels.export.ensure_selftest_source", lambda name, _: fetched.append(name))
    asked = Asked(names=("../demo", "net", "a b"), kernels=("6.12",), nics=(), options={"timeout": "-1"})
    with pytest.raises(BadInput) as caught:
        More().chosen(asked, quiet)
    assert [problem.split(":")[0] for problem in caught.value.problems[:2]] == ["'../demo'", "'a b'"]
    assert "--timeout" in caught.value.problems[2]
    assert fetched == []


def test_a_directory_that_is_no_kernel_tree(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"has no tools/testing/selftests/lib\.mk"):
        source_tree(tmp_path)


@pytest.mark.parametrize(
    ("release", "fits"),
    [("6.12.117+deb12-amd64", True), ("6.12.117", True), ("6.12.1", False), ("6.12.1170", False), ("6.1.2", False)],
)
def test_whether_a_kernel_is_of_a_tree(release: str, fits: bool, tree: SourceTree) -> None:
    assert tree.fits(release) == fits


def test_build_and_pack_leave_the_source_alone(tree: SourceTree, tmp_path: Path) -> None:
    before = content(tree.root)
    headers = ensure_headers(tree, quiet)
    answers = only(["demo/answers"], tree)
    assert build(answers, tree, headers, quiet) == ""
    with tarfile.open(fileobj=io.BytesIO(pack(answers, tree, {"ssh": "#!/bin/sh\n"}))) as archive:
        archive.extractall(tmp_path / "guest", filter="data")
    program = tmp_path / "guest" / SELFTESTS / "demo/answers"
    said = subprocess.run([program], capture_output=True, check=True).stdout
    assert said == b"TAP version 13\n1..1\nok 1 answer_42\n"  # said once: a child that exits finds nothing to say
    assert (tmp_path / "guest/bin/ssh").stat().st_mode & 0o100
    assert content(tree.root) == before


def test_a_script_brings_what_it_names_and_nothing_else(tree: SourceTree) -> None:
    script = only(["demo/script.sh"], tree)
    assert build(script, tree, ensure_headers(tree, quiet), quiet) == ""
    with tarfile.open(fileobj=io.BytesIO(pack(script, tree, {}))) as archive:
        files = {m.name.removeprefix(f"./{SELFTESTS}/"): m for m in archive if m.isfile()}
    assert set(files) == {
        "demo/script.sh",
        "demo/helper",
        "demo/words.txt",
        "demo/settings",
        "kselftest/ktap_helpers.sh",
    }
    assert files["demo/script.sh"].mode & 0o100


def test_what_does_not_compile_is_told_with_its_error(tree: SourceTree) -> None:
    assert "undeclared" in build(only(["demo/broken"], tree), tree, ensure_headers(tree, quiet), quiet)


def test_a_tree_without_headers_is_trouble(tree: SourceTree) -> None:
    (tree.root / "Makefile").write_text("kernelversion:\n\t@echo 6.12\n")
    with pytest.raises(HostTrouble, match="headers of"):
        ensure_headers(tree, quiet)


def test_cases_listed_by_the_source(tree: SourceTree) -> None:
    demo = read_collection(tree, "demo")
    (demo.folder / "t.c").write_text("\tT(test_a),\n\tT(test_b),\n")
    listed = SELFTEST_ROWS["cgroup/test_memcontrol"].cases
    assert listed is not None
    assert cases_of(Selftest("demo/t", "", cases=("t.c", listed[1])), demo) == ("test_a", "test_b")
    for nothing in (("t.c", r"U\((\w+)\)"), ("none.c", listed[1])):
        with pytest.raises(HostTrouble, match="lists no case"):
            cases_of(Selftest("demo/t", "", cases=nothing), demo)
