# SPDX-License-Identifier: GPL-2.0-only
"""A session that has had enough: after a verdict or a time no run begins, and what has begun goes on to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from types import FrameType

import pytest

from lab.fleet.carry import Carry
from lab.fleet.orders import batches
from lab.host.workers import ENOUGH
from lab.plan.design import Predicted
from lab.plan.session import EVENTS_FILE, PLAN_FILE, SessionPlan
from lab.report.model import RunResult
from lab.session.conduct import Listener, Stop, Until, watch
from lab.session.events import tell
from lab.spec.request import SessionRequest
from lab.units import Deadline
from lab.verdict.model import Word
from lab.verdict.predict import foretold
from tests.known import CASES, expand
from tests.unit.report import builder
from tests.unit.run.plans import kernel, planned

pytest_plugins = ["pytester"]


def verdict(word: Word, predicted: str = "PASS") -> RunResult:
    return builder.result(word, "hold", predicted=predicted)


@pytest.mark.parametrize(
    ("word", "predicted", "stops"),
    [
        (Word.FAIL, "PASS", True),
        (Word.ERROR, "PASS", True),
        (Word.MISS, "FAIL", True),
        (Word.FAIL, "FAIL", False),
        (Word.PASS, "FAIL", False),
        (Word.SKIP, "FAIL", False),
    ],
)
def test_the_first_that_is_worse_than_predicted_is_enough(word: Word, predicted: str, stops: bool) -> None:
    sound = verdict(Word.PASS)
    stop = Until(first=True).reached([sound, verdict(word, predicted)])
    assert (stop is not None and stop.verdict) == stops
    assert Until(first=False).reached([verdict(word, predicted)]) is None
    if stop:
        assert f"is {word.value}, predicted {predicted}" in stop.why


def test_time_runs_from_the_request_and_only_where_it_is_limited() -> None:
    assert Until.asked(SessionRequest(seconds=3600)).reached([]) is None
    assert Until.asked(SessionRequest()).deadline is None
    assert Until(deadline=Deadline.after("the session", timedelta(0))).reached([]) == Stop("0 s are over")


@dataclass
class Worker:
    """Does a run each time it is asked, as long as the session wants more."""

    words: Sequence[Word]
    signals: list[int] = field(default_factory=list)
    plan: SessionPlan | None = None
    done: int = 0

    def begin(self, plan: SessionPlan) -> None:
        self.plan = plan
        (plan.folder / EVENTS_FILE).touch()

    def poll(self) -> int | None:
        assert self.plan is not None
        if self.done == len(self.words) or (self.plan.sockets / ENOUGH).exists():
            return 0
        tell(self.plan, event="verdict", worker="w", run=self.plan.runs[self.done].id)
        self.done += 1
        return None

    def stop(self, signum: int, frame: FrameType | None, /) -> None:
        raise AssertionError("nobody is to be ended")


@pytest.fixture
def runs(tmp_path: Path) -> tuple[SessionPlan, list[Word]]:
    words = [Word.PASS, Word.FAIL, Word.PASS, Word.PASS]
    return planned(tmp_path, [kernel("k")], expand("s", [("k", "stock")], ["virtio"], ["hold"], 4)), words


@pytest.fixture
def told(runs: tuple[SessionPlan, list[Word]], monkeypatch: pytest.MonkeyPatch) -> None:
    plan, words = runs
    by_id = {run.id: verdict(word) for run, word in zip(plan.runs, words, strict=True)}
    monkeypatch.setattr("lab.archive.reports.told", lambda _, run: by_id[run])


@pytest.mark.usefixtures("told")
def test_a_session_stops_after_the_verdict_and_says_why(runs: tuple[SessionPlan, list[Word]]) -> None:
    plan, words = runs
    done = watch(plan, Worker(words), Listener(), Until(first=True))
    assert [result.verdict.word for result in done.results.values()] == [Word.PASS, Word.FAIL]
    assert done.stop is not None
    assert done.stop.verdict
    assert not done.interrupted


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("until", [None, Until(), Until(first=True)])
def test_a_session_that_was_run_to_its_end_was_not_stopped(
    until: Until | None, runs: tuple[SessionPlan, list[Word]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, words = runs
    if until and until.first:  # the last run is the one
        monkeypatch.setattr("lab.archive.reports.told", lambda _, run: verdict(
            Word.FAIL if run == plan.runs[-1].id else Word.PASS
        ))  # fmt: skip
    done = watch(plan, Worker(words), Listener(), until)
    assert len(done.results) == len(words)
    assert done.stop is None


@pytest.mark.usefixtures("told")
def test_an_engine_that_has_ended_needs_not_be_told(runs: tuple[SessionPlan, list[Word]], tmp_path: Path) -> None:
    plan, words = runs
    gone = replace(plan, sockets=tmp_path / "gone")
    assert len(watch(gone, Worker(words), Listener(), Until(first=True)).results) == len(words)


@pytest.mark.usefixtures("told")
def test_a_session_whose_time_is_over_begins_nothing_more(runs: tuple[SessionPlan, list[Word]]) -> None:
    plan, words = runs
    done = watch(plan, Worker(words), Listener(), Until(deadline=Deadline.after("the session", timedelta(0))))
    assert not done.results
    assert done.stop == Stop("0 s are over")


def test_a_worker_begins_no_run_then(
    pytester: pytest.Pytester, runs: tuple[SessionPlan, list[Word]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, _ = runs
    begun: list[str] = []
    monkeypatch.setattr("lab.session.plugin.RunItem.runtest", lambda item: begun.append(item.run.id))
    (plan.sockets / ENOUGH).touch()
    files = str(Path(CASES["hold"].file))
    result = pytester.runpytest_inprocess(files, "-p", "no:xdist", "--lab-plan", str(plan.folder / PLAN_FILE))
    result.assert_outcomes(skipped=4)
    assert not begun


def test_no_host_is_given_a_batch_then(runs: tuple[SessionPlan, list[Word]], monkeypatch: pytest.MonkeyPatch) -> None:
    plan, _ = runs

    def asked(_: Carry) -> None:
        raise AssertionError("a host was asked")

    carry = Carry(plan, batches(plan), f"{plan.name}.0000", None, None)  # type: ignore[arg-type]  # neither is looked at
    monkeypatch.setattr(Carry, "fleet", property(asked))
    with pytest.raises(AssertionError, match="a host was asked"):
        carry.run()
    (plan.sockets / ENOUGH).touch()
    assert carry.run() == 0


@pytest.mark.parametrize(
    ("expect", "skipped", "word"), [("", False, "FAIL"), ("PASS", False, "PASS"), ("PASS", True, "SKIP")]
)
def test_a_word_that_is_expected_takes_the_place_of_the_prediction(expect: str, skipped: bool, word: str) -> None:
    (run,) = expand("s", [("k", "stock")], ["virtio"], ["hold"], 1)
    assert foretold(CASES["hold"], run, "6.12.0", expect, skipped=skipped) is Predicted(word)
