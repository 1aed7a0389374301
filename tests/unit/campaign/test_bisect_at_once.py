# SPDX-License-Identifier: GPL-2.0-only
"""Where pairs are free, several suspects are run at once; what a search says is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.campaign.bisect.mail import mail
from lab.campaign.bisect.model import REVERT, Budget, Outcome, Purpose
from lab.campaign.bisect.wording import culprit_of
from tests.unit.campaign.world import World, killed_and_resumed, line_of, search_in, searched


def free(culprit: str, pairs: int = 4, **more: Any) -> World:  # noqa: ANN401 - what a World takes
    """A world with pairs that are free, where every kernel is there."""
    world = World(line_of(12), culprit, pairs=pairs, **more)
    world.made = ["good", *world.range.history.suspects]
    return world


@pytest.mark.parametrize("culprit", line_of(12).history.suspects)
def test_where_pairs_are_free_each_culprit_is_found_in_fewer_sessions(culprit: str) -> None:
    alone, world = World(line_of(12), culprit), free(culprit)
    assert culprit_of(searched(alone)) == culprit_of(searched(world)) == culprit
    assert len(world.sessions_of) < len(alone.sessions_of)
    assert max(map(len, world.sessions_of)) > 1
    assert all(len(names) <= world.pairs for names in world.sessions_of)


def test_with_one_pair_free_one_suspect_is_run_at_a_time() -> None:
    world = free("c5", pairs=1)
    searched(world)
    assert {len(names) for names in world.sessions_of} == {1}


def test_both_ends_and_both_of_the_proof_are_run_at_once() -> None:
    world = free("c5")
    search = searched(world)
    assert world.sessions_of[0] == ("c12", "good")
    proof = [set(names) for names in world.sessions_of if REVERT not in names][-1]
    assert proof == {"c4", "c5"}
    turns = [e.suspect for e in search.entries if e.purpose is Purpose.CONFIRM]
    assert turns.count("c4") == turns.count("c5")
    assert "run at the same time" in mail(search)


@pytest.mark.parametrize("seed", range(3))
def test_ends_that_fail_alike_are_run_at_once_until_that_is_sure(seed: int) -> None:
    world = free("", pairs=2, passing=0.5, seed=seed)
    assert searched(world).ended is Outcome.NONE
    assert [set(names) for names in world.sessions_of[:3]] == [{"c12", "good"}] * 3


def test_a_kernel_that_is_there_is_not_held_up_by_one_that_has_to_be_made() -> None:
    """No kernel is there but what was made: of the ends the bad one is run while the good one is made."""
    world = World(line_of(12), "c5", pairs=4)
    searched(world)
    assert world.sessions_of[0] == ("c12",)
    assert "good" in world.guesses[0]
    assert all(name in world.made for names in world.sessions_of for name in names)


def test_what_should_be_run_beside_the_next_is_made_ahead_where_pairs_are_free() -> None:
    """After both ends: the middle, and more of it than the two guesses of one pair."""
    world = World(line_of(12), "c5", pairs=4)
    searched(world)
    assert max(map(len, world.guesses)) > 2


@pytest.mark.parametrize("odd", [("MISS", "boot"), ("MISS", "host"), ("ERROR", "preflight"), ("FAIL", "kernel-alive")])
def test_what_befalls_one_suspect_does_not_hurt_those_beside_it(odd: tuple[str, str]) -> None:
    world = free("c5", odd={"c3": odd, "c7": odd, "c9": odd})
    search = searched(world)
    assert culprit_of(search) == "c5"
    assert any({"c3", "c7", "c9"} & set(names) and len(names) > 1 for names in world.sessions_of)
    assert {"c3", "c7", "c9"} >= set(search.skipped)


@pytest.mark.parametrize("stop_at", range(1, 34, 3))
def test_killed_with_several_at_once_and_resumed_no_run_is_lost_or_laid_at_another_door(
    stop_at: int, tmp_path: Path
) -> None:
    world = free("c5", stop_at=stop_at)
    resumed = killed_and_resumed(world, tmp_path)
    assert (resumed.ended, culprit_of(resumed)) == (Outcome.CULPRIT, "c5")
    number = {f"run-{n}": name for n, name in enumerate(world.runs, 1)}
    assert sorted((e.seen.run, e.suspect) for e in resumed.entries) == sorted(number.items())


def test_a_budget_of_runs_is_kept_by_what_is_run_at_once() -> None:
    for runs in (1, 5, 6, 11, 17):
        world = free("c5")
        search = searched(world, search_in(world.range, budget=Budget(runs=runs)))
        assert len(world.runs) == runs
        assert "the budget is spent" in search.why


def test_of_flaky_searches_with_pairs_free_hardly_one_is_wrong() -> None:
    found = [searched(free(f"c{1 + seed % 12}", failing=0.35, passing=0.02, seed=seed)) for seed in range(10)]
    wrong = [s for n, s in enumerate(found) if culprit_of(s) not in ("", f"c{1 + n % 12}")]
    assert len(wrong) <= 1
    assert sum(s.ended is Outcome.CULPRIT for s in found) >= 8
