# SPDX-License-Identifier: GPL-2.0-only
"""The command: a record and a picture on disk, and clear words for bad input."""

from __future__ import annotations

import json
import sys
import types
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bench import __main__ as command
from bench import registry
from bench.harness import Outcome, Ratio
from bench.machine import context, cpu_model, total_mib
from bench.registry import Asked, Entry

CPUINFO = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nprocessor\t: 1\nmodel name\t: Other\n"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> str:
    """A bench `counting` whose values are computed from nothing but the number of rounds."""

    def measure(asked: Asked) -> Outcome:
        rounds = [{"ours": 1.0 + n, "theirs": 2.0 + 2 * n} for n in range(asked.repeats)]
        facts = {"accelerator": "tcg", "kernel": "six"}
        problems = ["too few rounds"] if asked.repeats < 2 else []
        return Outcome("Counting", "s", rounds, (Ratio("ours_over_theirs", "ours", "theirs"),), facts, problems)

    module = types.ModuleType("counting")
    module.measure = measure  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "counting", module)
    monkeypatch.setitem(registry.BENCHES, "counting", Entry("counting", 3, "counts", ("kernel",)))
    monkeypatch.setenv("LAB_REPLACED", "1")
    return "counting"


def test_a_record_and_a_picture(bench: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([bench, "--out", str(tmp_path)]) == 0
    told = json.loads((tmp_path / "counting.json").read_text())
    assert told["ours_over_theirs"] == 0.5
    assert len(told["rounds"]) == 3
    for key in ("cpus", "memory_mib", "cpu_model", "qemu", "libvirt", "lab", "date", "command", "accelerator"):
        assert key in told
    picture = ET.parse(tmp_path / "counting.svg")  # noqa: S314 - our own file
    words = " ".join(t for t in picture.getroot().itertext() if t.strip())
    assert "Counting" in words
    assert "theirs" in words
    assert "ours_over_theirs" in capsys.readouterr().out


def test_more_adds_rounds(bench: str, tmp_path: Path) -> None:
    command.main([bench, "--out", str(tmp_path), "--repeats", "2"])
    command.main([bench, "--out", str(tmp_path), "--repeats", "4", "--more"])
    assert json.loads((tmp_path / "counting.json").read_text())["ours_s_n"] == 6
    command.main([bench, "--out", str(tmp_path), "--repeats", "2"])
    assert json.loads((tmp_path / "counting.json").read_text())["ours_s_n"] == 2


def test_a_promise_that_is_not_kept_is_told(bench: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([bench, "--out", str(tmp_path), "--repeats", "1"]) == 1
    assert "NOT KEPT: too few rounds" in capsys.readouterr().out
    assert json.loads((tmp_path / "counting.json").read_text())["problems"] == ["too few rounds"]


@pytest.mark.parametrize("argv", [["nothing-such"], ["counting", "--repeats", "0"]])
def test_bad_input_is_refused_before_anything_starts(
    bench: str, argv: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main([*argv, "--out", str(tmp_path / bench)]) == 2
    assert capsys.readouterr().err.startswith("bench: ")
    assert not (tmp_path / bench).exists()


def test_every_bench_in_the_table_can_be_loaded() -> None:
    for entry in registry.BENCHES.values():
        assert callable(entry.load())
        assert entry.repeats >= 1


def test_the_machine_is_read_from_the_kernels_own_words() -> None:
    assert cpu_model(CPUINFO) == "Some CPU @ 2 GHz"
    assert cpu_model("") == ""
    assert total_mib("MemTotal:       2097152 kB\nMemFree: 1 kB\n") == 2048
    assert context("x")["command"] == "x"
