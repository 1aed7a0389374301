# SPDX-License-Identifier: GPL-2.0-only
"""Searches through histories whose culprit is known, with runs that fail by a seeded die."""

from __future__ import annotations

import random
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import BadInput
from lab.stats.bisection import CONFIDENCE, ENDS, Answer, Bisection, Together, at_once, gain
from lab.stats.history import History, line
from lab.stats.posterior import Tally, posterior

FORKED = History(
    "good",
    {
        "a": (),
        "side1": ("a",),
        "side2": ("side1",),
        "b": ("a",),
        "c": ("b",),
        "merge": ("c", "side2"),
        "tip": ("merge",),
    },
)


@dataclass
class World:
    """What is true: which suspect is to blame ("" for none), and how often trees with and without it fail."""

    history: History
    culprit: str
    failing: float = 1.0
    passing: float = 0.0
    seed: int = 0

    def search(self, most: int = 300, confidence: float = CONFIDENCE) -> tuple[Answer, str, int]:
        """The answer, the culprit, and how many runs it took."""
        dice, search = random.Random(self.seed), Bisection(self.history, confidence)
        for runs in range(most):
            commit = search.proposed()
            if not commit:
                return (*search.answer(), runs)
            search.observe(commit, failed=dice.random() < (self.failing if self.is_bad(commit) else self.passing))
        return (*search.answer(), most)

    def is_bad(self, commit: str) -> bool:
        """Whether a tree of this commit contains the culprit."""
        suspects = self.history.suspects
        return self.culprit != "" and any(suspects[i] == self.culprit for i in self.history.indices(commit))


@pytest.mark.parametrize("culprit", ["1", "2", "9", "17", "31", "32"])
def test_a_failure_that_always_shows_is_found_in_a_few_runs(culprit: str) -> None:
    answer, named, runs = World(line(32), culprit).search()
    assert (answer, named) == (Answer.CULPRIT, culprit)
    assert runs < 24


@pytest.mark.parametrize("culprit", FORKED.suspects)
def test_a_culprit_on_either_side_of_a_merge_is_found(culprit: str) -> None:
    assert World(FORKED, culprit, failing=0.8).search()[:2] == (Answer.CULPRIT, culprit)


@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_ends_that_fail_alike_have_no_culprit_between_them(rate: float) -> None:
    assert World(line(16), "", passing=rate).search()[0] is Answer.NONE


def test_of_flaky_searches_hardly_one_is_wrong() -> None:
    """Of 40 answers at 99 % three or more are wrong once in 130 times; the seeds are these for good. Of 160: two."""
    found = [World(line(16), str(1 + seed % 16), 0.5, 0.02, seed).search() for seed in range(40)]
    wrong = [seed for seed, (answer, named, _) in enumerate(found) if answer and named not in ("", str(1 + seed % 16))]
    assert len(wrong) <= 2
    assert sum(answer is Answer.CULPRIT for answer, _, _ in found) >= 36


def test_both_ends_come_first_and_what_they_say_can_be_the_answer() -> None:
    search, asked = Bisection(line(64)), []
    for _ in range(2 * ENDS):
        asked.append(search.proposed())
        search.observe(asked[-1], failed=asked[-1] == "64")
    assert asked == ["64"] * ENDS + ["good"] * ENDS
    assert search.proposed() not in ("64", "good", "")


def test_a_commit_that_cannot_be_tested_is_left_out_and_stays_a_suspect() -> None:
    search = Bisection(line(3))
    search.skip("2")
    while commit := search.proposed():
        assert commit != "2"
        search.observe(commit, failed=commit == "3")
    assert search.answer()[0] is Answer.OPEN
    assert search.belief().remaining(CONFIDENCE) == ("2", "3")


def test_a_search_goes_on_from_its_record() -> None:
    search = Bisection(line(20))
    for commit, failed in (("20", True), ("good", False), ("10", True)):
        search.observe(commit, failed=failed)
    resumed = Bisection(line(20), seen=dict(search.seen))
    assert (resumed.belief(), resumed.proposed()) == (search.belief(), search.proposed())


def test_what_costs_less_is_run_first_where_it_brings_as_much() -> None:
    search = Bisection(line(8))
    for commit, failed in (("8", True), ("good", False)):
        for _ in range(ENDS):
            search.observe(commit, failed=failed)
    assert search.proposed() == "4"
    assert search.proposed(lambda commit: 10.0 if commit == "4" else 1.0) in ("3", "5")


@given(st.dictionaries(st.sampled_from([*FORKED.suspects, "good"]), st.tuples(st.integers(0, 30), st.integers(0, 30))))
@settings(max_examples=50, deadline=None)
def test_beliefs_add_up_to_one_and_a_culprit_makes_a_difference(told: dict[str, tuple[int, int]]) -> None:
    belief = posterior(FORKED, {commit: Tally(a, a + b) for commit, (a, b) in told.items()})
    assert sum(belief.culprit) + belief.none == pytest.approx(1)
    assert 0 <= belief.passing < belief.failing <= 1
    assert all(0 <= gain(belief, commit) <= 1 for commit in FORKED.suspects)
    assert belief.bad("tip") == pytest.approx(1 - belief.none)
    assert belief.bad("good") == 0


def test_the_same_kernel_is_judged_once_and_clears_what_is_between() -> None:
    search = Bisection(line(8), twins={"6": "3"})
    for commit, failed in (("8", True), ("good", False)):
        for _ in range(ENDS):
            search.observe(commit, failed=failed)
    belief = search.belief()
    assert [belief.culprit[n] for n in (3, 4, 5)] == [0, 0, 0]
    assert sum(belief.culprit) + belief.none == pytest.approx(1)
    assert "6" not in search.usable()
    search.observe("6", failed=True)
    assert search.of("6") == search.of("3") == Tally(1, 1)
    search.twins["8"] = "good"
    assert search.answer() == (Answer.NONE, "")


def test_what_no_run_can_tell_apart_is_told_as_a_set() -> None:
    search = Bisection(line(6), skipped={"3"})
    for commit in ("6", "4"):
        for _ in range(4):
            search.observe(commit, failed=True)
    for commit in ("good", "2"):
        for _ in range(6):
            search.observe(commit, failed=False)
    assert search.alike(search.belief()) == ("3", "4")
    search.skipped.clear()
    assert search.alike(search.belief()) == ()


def test_a_run_of_what_was_run_often_tells_less_than_one_of_what_nobody_ran() -> None:
    """By the mean rates of all hypotheses, c7 would promise as much for ever."""
    seen = {"3": Tally(1, 6), "5": Tally(43, 128), "7": Tally(60, 136), "16": Tally(5, 6), "good": Tally(0, 4)}
    belief = posterior(line(16), seen)
    assert max(gain(belief, commit) for commit in ("5", "7")) < gain(belief, "12") / 2


def test_a_pass_of_a_tree_clears_none_but_what_it_contains() -> None:
    before = posterior(FORKED, {"tip": Tally(5, 5), "good": Tally(0, 5)})
    after = posterior(FORKED, {"tip": Tally(5, 5), "good": Tally(0, 5), "side2": Tally(0, 5)})
    cleared = {name for i, name in enumerate(FORKED.suspects) if after.culprit[i] < before.culprit[i]}
    assert cleared == {"a", "side1", "side2"}


@pytest.mark.parametrize(
    ("parents", "told"),
    [
        ({}, "no commit between"),
        ({"b": ("a",), "a": ()}, "b comes before its parent a"),
        ({"good": ()}, "named twice, or is the good end"),
        ({"a": (), "b": (), "tip": ("b",)}, "a is not contained in the bad end"),
    ],
)
def test_a_range_that_is_none_is_refused(parents: dict[str, tuple[str, ...]], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        History("good", parents)


def test_a_tally_is_told_as_lists_write_it() -> None:
    assert str(Tally(35, 200)) == "35:200"
    with pytest.raises(ValueError, match="3 of 2"):
        Tally(3, 2)


def settled(commits: int = 16) -> Bisection:
    """Both ends are known, and of nothing else."""
    found = Bisection(line(commits))
    for _ in range(40):
        found.observe(str(commits), failed=True)
        found.observe("good", failed=False)
    return found


def test_what_runs_at_once_bring_is_what_one_run_brings_where_there_is_one() -> None:
    belief = settled().belief()
    for commit in ("good", "3", "8", "16"):
        assert Together(belief, 1).gain(commit) == pytest.approx(gain(belief, commit), abs=1e-9)


def test_what_is_brought_beside_others_is_what_all_bring_together_in_any_order() -> None:
    """The chain rule of mutual information; and a second look at the same commit brings less than the first."""
    belief = settled().belief()
    sums = []
    for order in (("8", "4", "12"), ("12", "8", "4"), ("4", "12", "8")):
        together, brought = Together(belief, 1), 0.0
        for commit in order:
            brought += together.gain(commit)
            together.take(commit)
        sums.append(brought)
    assert sums == pytest.approx([sums[0]] * 3, abs=1e-9)
    together = Together(belief, 2)
    before = together.gain("8")
    together.take("8")
    assert together.gain("8") < before / 4
    assert together.gain("4") > before / 3


def test_beside_the_middle_of_a_line_go_its_quarters_where_they_cost_nothing() -> None:
    found = settled()
    belief, usable = found.belief(), found.usable()
    chosen = at_once(belief, "8", usable, 2, 3, lambda _: 20.0)
    assert chosen[0] == "8"
    assert {round(int(name) / 4) for name in chosen[1:]} == {1, 3}
    assert at_once(belief, "8", usable, 2, 3, lambda names: 20.0 * len(names)) == ("8",)
    assert at_once(belief, "8", ("8", "16", "good"), 2, 3, lambda _: 20.0) == ("8",)


def test_where_failures_are_rare_the_same_commit_may_be_run_twice() -> None:
    found = Bisection(line(4))
    for n in range(40):
        found.observe("4", failed=n % 5 == 0)
        found.observe("good", failed=False)
    chosen = at_once(found.belief(), "2", ("2",), 2, 2, lambda _: 20.0)
    assert chosen == ("2", "2")
