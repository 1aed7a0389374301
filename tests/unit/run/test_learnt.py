# SPDX-License-Identifier: GPL-2.0-only
"""What a session on disk teaches, and the file it is kept in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.contracts import BootableKernel, GuestImage
from lab.evidence.manifest import Incident
from lab.plan.learnt import Learnt, Rate
from lab.plan.session import SessionPlan
from lab.report import RunResult, Session
from lab.session.learnt import learnt_file, lesson_of, load_learnt, remember
from lab.verdict.model import Word
from tests.known import CASES, expand
from tests.unit.report import builder

CASES_RUN = ("hold", "release", "bystander", "copy-control")
WEIGHTS = [CASES[case].seconds for case in CASES_RUN]


def plan(folder: Path, pairs: int = 1) -> SessionPlan:
    runs = expand("s", [("stock", "stock")], ["virtio"], CASES_RUN, 1)
    return SessionPlan(
        name="s",
        started="2026-01-01T00:00:00+00:00",
        command="",
        folder=folder,
        sockets=folder,
        connect="none",
        accelerator="tcg",
        pairs=pairs,
        image=GuestImage(Path("/u"), "0", "0"),
        kernels=(BootableKernel("stock", Path("/k"), Path("/i"), "6.12", "stock", "0", ""),),
        runs=runs,
        host="2 CPUs",
    )


def session(*words: Word, predicted: str = "PASS", seconds: float = 50.0) -> Session:
    results = [builder.result(word, case, predicted=predicted) for word, case in zip(words, CASES_RUN, strict=False)]
    return replace(builder.session(*results), seconds=seconds)


def test_a_sound_session_teaches_durations_and_a_rate(tmp_path: Path) -> None:
    told = lesson_of(plan(tmp_path), session(*[Word.PASS] * 4))
    assert told.durations[0] == ("hold/virtio/given/tcg", 5.5)
    assert told.durations[4:] == (("pair/virtio/given/tcg", 2.5),) * 4
    assert told.rate == Rate(sum(WEIGHTS) / 50)


def test_booted_pairs_teach_nothing_of_restored_ones(tmp_path: Path) -> None:
    told = lesson_of(replace(plan(tmp_path), cold=True), session(*[Word.PASS] * 4))
    assert told.durations[0] == ("hold/virtio/given/tcg, cold", 5.5)


@pytest.mark.parametrize("word", [Word.MISS, Word.ERROR])
def test_a_lost_run_counts_against_the_number_of_pairs_and_says_nothing_of_its_length(
    tmp_path: Path, word: Word
) -> None:
    told = lesson_of(plan(tmp_path), session(word, Word.PASS, Word.PASS, Word.PASS))
    assert told.rate == Rate((sum(WEIGHTS) - 2 * WEIGHTS[0]) / 50, 1)
    assert "hold/virtio/given/tcg" not in dict(told.durations)


def test_an_error_that_was_predicted_is_not_lost(tmp_path: Path) -> None:
    told = lesson_of(plan(tmp_path), session(*[Word.ERROR] * 4, predicted="ERROR"))
    assert told.rate == Rate(sum(WEIGHTS) / 50)


def test_a_skip_is_no_work(tmp_path: Path) -> None:
    told = lesson_of(plan(tmp_path), session(Word.SKIP, Word.PASS, Word.PASS, Word.PASS))
    assert (told.rate, len(told.durations)) == (None, 6)


def interrupted(result: RunResult) -> RunResult:
    incident = Incident(kind="interrupted", guest="", detail="", t="")
    return replace(result, manifest=result.manifest.model_copy(update={"incidents": (incident,)}))


def test_what_is_small_unfinished_or_stopped_says_nothing_of_the_pairs(tmp_path: Path) -> None:
    whole = session(*[Word.PASS] * 4)
    assert lesson_of(plan(tmp_path, pairs=2), whole).rate is None
    assert lesson_of(plan(tmp_path), session(*[Word.PASS] * 3)).rate is None
    stopped = replace(whole, results=(*whole.results[:3], interrupted(whole.results[3])))
    assert lesson_of(plan(tmp_path), stopped).rate is None
    assert lesson_of(replace(plan(tmp_path), host=""), whole).rate is None


def test_it_is_kept_in_the_cache_once_and_a_damaged_file_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    assert load_learnt() == Learnt()
    for _ in range(2):
        remember(plan(tmp_path), session(*[Word.PASS] * 4), lambda _: None)
    assert load_learnt().rates == {"2 CPUs": {1: (Rate(sum(WEIGHTS) / 50),)}}
    learnt_file().write_bytes(b"{")
    assert load_learnt() == Learnt()
    remember(plan(tmp_path), session(*[Word.PASS] * 4), lambda _: None)
    assert load_learnt().sessions == ("thread of March 2021",)


def test_a_session_without_runs_teaches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    remember(plan(tmp_path), session(), lambda _: None)
    assert not learnt_file().exists()
