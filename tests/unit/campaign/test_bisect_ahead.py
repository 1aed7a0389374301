# SPDX-License-Identifier: GPL-2.0-only
"""Which kernels a search has made beside its runs, and that a wrong guess harms nothing."""

from __future__ import annotations

from copy import deepcopy

import pytest

from lab.campaign.bisect.decide import BATCH, Step, foreseen
from lab.campaign.bisect.model import Outcome, Purpose, Suspect
from lab.campaign.bisect.wording import culprit_of
from tests.unit.campaign.world import World, line_of, search_in, searched


def guessed(world: World) -> list[bool]:
    """Whether each kernel after the first was asked for beside the runs before it."""
    told: list[bool] = []
    make = world.make

    def making(suspect: Suspect) -> str:
        told.append(suspect.name in world.beside)
        return make(suspect)

    world.make = making  # type: ignore[method-assign]
    searched(world)
    return told[1:]


@pytest.mark.parametrize("culprit", ["c1", "c5", "c12"])
def test_what_is_next_is_made_beside_the_runs_before(culprit: str) -> None:
    """Where runs of a kernel are all alike, one of two guesses is right each time; only the revert is not foreseen."""
    world = World(line_of(12), culprit)
    told = guessed(world)
    *others, last = told
    assert all(others)
    assert not last or culprit == "c12"
    assert all(len(names) <= 2 and world.made[0] not in names for names in world.guesses)
    assert world.guesses[-3:] == [(), (), ()]  # of the proof, of the revert, and at the end


def test_a_wrong_guess_changes_no_answer() -> None:
    """What is sought comes in half of the runs, and some suspects say nothing."""
    world = World(line_of(12), "c5", failing=0.5, seed=3, odd={"c6": ("MISS", "boot"), "c8": ("FAIL", "kernel-alive")})
    told = guessed(world)
    search = searched(World(line_of(12), "c5", failing=0.5, seed=3, odd=world.odd))
    assert not all(told)
    assert culprit_of(search) == "c5"


def test_the_likelier_guess_comes_first() -> None:
    """Of a suspect behind one that failed each time, all runs are expected to fail."""
    search = search_in(line_of(12))
    world = World(line_of(12), "c5")
    searched(world, search)
    search.entries = [e for e in search.entries if e.suspect in ("c12", "good", "c6")]
    search.contents = {name: name for name in ("c12", "good", "c6", "c7", "c2")}
    first = {name: foreseen(search, (Step(name, Purpose.SEARCH, BATCH),), world.means())[0] for name in ("c7", "c2")}
    places = {name: search.range.place(then) for name, then in first.items()}
    assert places["c7"] < 6
    assert 2 < places["c2"] < 6


def test_thinking_ahead_leaves_the_search_as_it_was() -> None:
    search = search_in(line_of(12))
    world = World(line_of(12), "c5")
    searched(world, search)
    search.sought, search.entries = None, search.entries[:2]
    before = deepcopy(search)
    assert foreseen(search, (Step("c12", Purpose.SEARCH, BATCH),), world.means()) == ()
    assert search == before


@pytest.mark.parametrize("cut_at", [1, 5, 10, 20])
def test_nothing_is_made_any_more_when_a_search_was_interrupted(cut_at: int) -> None:
    world = World(line_of(12), "c5", cut_at=cut_at)
    with pytest.raises(KeyboardInterrupt):
        searched(world)
    assert any(world.guesses)
    assert world.beside == ()


def test_nothing_is_made_any_more_when_a_search_is_over() -> None:
    world = World(line_of(12), "c5", broken={"c12": "no"})
    assert searched(world).ended is Outcome.BRACKET
    assert world.guesses == [()]
