# SPDX-License-Identifier: GPL-2.0-only
"""Whole searches in worlds whose culprit is known; nothing is faked but what runs of a kernel came to."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from lab.campaign.bisect.decide import BATCH, FIRST, MOST_OF_ENDS, Step, foreseen
from lab.campaign.bisect.engine import Engine
from lab.campaign.bisect.mail import mail
from lab.campaign.bisect.model import REVERT, Budget, Outcome, Purpose, Range, Search, Seen, Suspect
from lab.campaign.bisect.record import FILE, load, save
from lab.campaign.bisect.sought import tally
from lab.campaign.bisect.wording import culprit_of
from lab.errors import BadInput
from lab.host.records import write_record
from tests.unit.campaign.world import KilledError, World, line_of, run_of, search_in, searched

FORKED = Range(
    "commits",
    Suspect("good", "k-good"),
    tuple(
        Suspect(name, f"k-{name}", f"subject of {name}", parents=parents)
        for name, parents in {
            "a": ("good",),
            "side1": ("a",),
            "side2": ("side1",),
            "b": ("a", "elsewhere"),
            "c": ("b",),
            "merge": ("c", "side2"),
            "tip": ("merge",),
        }.items()
    ),
)


@pytest.mark.parametrize("culprit", line_of(12).history.suspects)
def test_each_culprit_of_a_line_is_found_and_confirmed(culprit: str) -> None:
    world = World(line_of(12), culprit)
    search = searched(world)
    assert (search.ended, culprit_of(search)) == (Outcome.CULPRIT, culprit)
    assert search.why.startswith("confirmed")
    assert len(world.runs) < 45


@pytest.mark.parametrize("culprit", FORKED.history.suspects)
def test_a_culprit_on_either_side_of_a_merge_is_found(culprit: str) -> None:
    search = searched(World(FORKED, culprit))
    assert (search.ended, culprit_of(search)) == (Outcome.CULPRIT, culprit)


def test_of_flaky_searches_hardly_one_is_wrong() -> None:
    """One failure in three, and one in 50 without the bug: of 30 answers at 99 % two are wrong once in 30 times."""
    found = [searched(World(line_of(16), f"c{1 + seed % 16}", 0.35, 0.02, seed)) for seed in range(30)]
    wrong = [s for n, s in enumerate(found) if culprit_of(s) not in ("", f"c{1 + n % 16}")]
    assert len(wrong) <= 1
    assert sum(s.ended is Outcome.CULPRIT for s in found) >= 24


@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_ends_that_fail_alike_are_told_before_anything_between_them_is_made(rate: float) -> None:
    world = World(line_of(16), "", passing=rate, seed=2)
    search = searched(world)
    assert search.ended is Outcome.NONE
    assert "the good end fails" in search.why
    assert set(world.made) == {"c16", "good"}


def test_a_bad_end_that_does_not_fail_is_a_wrong_bracket() -> None:
    world = World(line_of(8), "")
    search = searched(world)
    assert search.ended is Outcome.BRACKET
    assert search.why == f"the bad end c8 never showed FAIL in {MOST_OF_ENDS} runs ({MOST_OF_ENDS} PASS)"
    assert world.made == ["c8"]


@pytest.mark.parametrize(
    ("end", "odd", "why"),
    [
        ("c8", ("ERROR", "preflight"), "the bad end c8 cannot be judged: it gives no verdict: preflight said so"),
        ("good", ("FAIL", "kernel-alive"), "the good end good cannot be judged: it fails in another way"),
        ("good", ("MISS", "boot"), "the good end good cannot be judged: it does not boot"),
    ],
)
def test_an_end_that_cannot_be_judged_is_told(end: str, odd: tuple[str, str], why: str) -> None:
    search = searched(World(line_of(8), "c3", odd={end: odd}))
    assert search.ended is Outcome.BRACKET
    assert search.why.startswith(why)


@pytest.mark.parametrize("end", ["c8", "good"])
def test_an_end_that_the_lab_could_not_run_says_nothing_of_the_ends_and_is_tried_when_the_search_goes_on(
    end: str,
) -> None:
    world = World(line_of(8), "c3", odd={end: ("MISS", "host")})
    search = searched(world)
    assert search.ended is Outcome.OPEN
    assert f"end {end} cannot be judged: the lab could not run it" in search.why
    assert searched(world, search).ended is Outcome.OPEN
    assert [seen.word for seen in search.of(end)] == ["MISS"] * 4 * BATCH
    world.odd.clear()
    assert culprit_of(searched(world, search)) == "c3"


def test_an_end_that_does_not_build_is_told() -> None:
    search = searched(World(line_of(8), "c3", broken={"c8": "it cannot be built: x.c:1: error"}))
    assert (search.ended, search.why) == (
        Outcome.BRACKET,
        "the bad end c8 cannot be judged: it cannot be built: x.c:1: error",
    )


@pytest.mark.parametrize("odd", [("MISS", "boot"), ("ERROR", "preflight"), ("FAIL", "kernel-alive"), ("SKIP", "x")])
def test_what_says_nothing_of_the_failure_steers_nothing(odd: tuple[str, str]) -> None:
    """If any of these counted as good or as bad, another commit than c5 would be named, or none in doubt."""
    search = searched(World(line_of(12), "c5", odd={"c3": odd, "c7": odd}))
    assert culprit_of(search) == "c5"
    assert {"c3", "c7"} >= set(search.skipped)


def test_a_culprit_beside_what_cannot_be_tested_is_told_as_a_set() -> None:
    search = searched(World(line_of(12), "c5", broken={"c4": "no"}, odd={"c3": ("MISS", "boot")}))
    assert search.ended is Outcome.OPEN
    assert "3 suspects remain: what is between them cannot be tested" in search.why
    assert culprit_of(search) == ""


def test_a_run_that_the_lab_lost_is_tried_again_before_its_commit_is_left_out() -> None:
    search = searched(World(line_of(6), "c6", odd={"c3": ("MISS", "host")}))
    assert len(search.of("c3")) == 2 * BATCH
    assert search.skipped["c3"].startswith("the lab could not run it")
    assert culprit_of(search) == "c6"


def test_the_same_kernel_is_judged_once_and_clears_what_is_between() -> None:
    same = {"c6": "k", "c7": "k", "c8": "k"}
    world = World(line_of(12), "c9", same=same)
    search = searched(world)
    assert culprit_of(search) == "c9"
    assert not {"c7", "c8"} & set(world.runs)


def test_ends_that_are_the_same_kernel_need_no_run() -> None:
    world = World(line_of(4), "c2", same={"good": "k", "c4": "k"})
    search_of_same = search_in(world.range)
    search_of_same.contents = {"good": "k", "c4": "k"}
    search = searched(world, search_of_same)
    assert (search.ended, search.why, world.runs) == (Outcome.NONE, "both ends are the same kernel", [])


def test_source_that_is_the_same_is_the_same_kernel_unbuilt() -> None:
    plain = line_of(12)
    suspects = tuple(replace(s, content="t" if s.name in ("c4", "c5", "c6") else s.name) for s in plain.suspects)
    world = World(Range("commits", plain.good, suspects), "c7")
    assert culprit_of(searched(world)) == "c7"
    assert not {"c5", "c6"} & set(world.made)


def test_culprit_and_parent_are_run_in_turns_until_it_is_no_chance() -> None:
    search = searched(World(line_of(8), "c4", failing=0.6, seed=5))
    turns = [e.suspect for e in search.entries if e.purpose is Purpose.CONFIRM]
    assert set(turns) == {"c4", "c3"}
    assert abs(turns.count("c4") - turns.count("c3")) <= BATCH
    with_it, without = (tally(search.of(name, Purpose.CONFIRM), search.sought) for name in ("c4", "c3"))
    assert with_it.fails > without.fails == 0


def test_the_culprit_is_taken_out_of_the_bad_end_and_run() -> None:
    world = World(line_of(8), "c4")
    search = searched(world)
    assert world.runs[-1] == REVERT
    assert str(tally(search.of(REVERT), search.sought)) == "0:6"
    assert REVERT not in search.skipped


def test_a_culprit_that_cannot_be_taken_out_is_still_the_culprit() -> None:
    search = searched(World(line_of(8), "c4", unclean="it does not apply"))
    assert (culprit_of(search), search.told_revert, search.of(REVERT)) == ("c4", "it does not apply", ())


def test_a_budget_of_runs_is_kept_and_more_of_it_goes_on() -> None:
    world, search = World(line_of(12), "c5"), search_in(line_of(12), budget=Budget(runs=11))
    searched(world, search)
    assert (search.ended, len(world.runs)) == (Outcome.OPEN, 11)
    assert "the budget is spent (11 runs" in search.why
    search.asked = replace(search.asked, budget=Budget())
    assert searched(world, search).ended is Outcome.CULPRIT


def test_a_budget_of_time_is_kept() -> None:
    world, search = World(line_of(12), "c5"), search_in(line_of(12), budget=Budget(seconds=100))
    ticks = iter(range(0, 100_000, 5))
    Engine(search, world, lambda _: None, clock=lambda: float(next(ticks))).go()
    assert search.ended is Outcome.OPEN
    assert 100 <= search.seconds < 150


def test_what_the_archive_knows_is_not_run_again_and_costs_nothing() -> None:
    known = {name: [run_of("FAIL", n, "old") for n in range(FIRST)] for name in ("c12", "c6")}
    known["good"] = [run_of("PASS", n, "old") for n in range(FIRST)]
    world = World(line_of(12), "c5", known=known)
    search = searched(world)
    assert culprit_of(search) == "c5"
    assert not {"c12", "good", "c6"} & set(world.runs)
    assert search.paid == len(world.runs)


def test_a_failure_that_was_named_is_looked_for_and_no_other() -> None:
    """The bad end warns as well; it is the rule that was asked for that counts."""
    search = searched(World(line_of(6), "c2"), search_in(line_of(6), sought="witnesses"))
    assert search.ended is Outcome.BRACKET
    assert "it fails in another way: charged said so" in search.why


def killed_and_resumed(world: World, folder: Path) -> Search:
    """A search that is killed where the world stops, and goes on to its end from what it has saved."""
    with pytest.raises(KilledError):
        Engine(search_in(world.range), world, lambda now: save(folder, now)).go()
    world.stop_at = 0
    resumed = load(folder)
    Engine(resumed, world, lambda now: save(folder, now)).go()
    return resumed


@pytest.mark.parametrize("stop_at", range(1, 34))
def test_killed_in_any_run_and_resumed_it_repeats_none_and_says_the_same(stop_at: int, tmp_path: Path) -> None:
    """The run that was over when the process was killed, and was not noted, is found in its session."""
    whole = searched(World(line_of(12), "c5"))
    world = World(line_of(12), "c5", stop_at=stop_at)
    resumed = killed_and_resumed(world, tmp_path)
    assert (resumed.ended, culprit_of(resumed)) == (whole.ended, culprit_of(whole))
    over = [(e.seen.session, e.seen.run) for e in resumed.entries]
    assert len(over) == len(set(over)) == len(world.runs)
    assert load(tmp_path) == resumed


def test_an_interrupted_run_is_no_reason_to_leave_a_commit_out() -> None:
    world = World(line_of(6), "c3")
    search = search_in(world.range)
    searched(world, search)
    cut = replace(run_of("MISS", 99, "cut"), incidents=("interrupted",))
    from lab.campaign.bisect.decide import reason_to_skip

    def why_after(*seen: Seen) -> str:
        search.entries = [replace(search.entries[0], seen=one) for one in seen]
        return reason_to_skip(search.entries[0].suspect, search)

    before = search.paid
    search.entries.append(replace(search.entries[0], seen=cut))
    assert search.paid == before
    assert why_after(*[cut] * 9) == ""
    assert why_after(*[run_of("MISS", 1, "s", "host")] * 4) != ""


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


def test_a_search_that_passes_at_the_bad_end_can_be_asked_for() -> None:
    """Which step mended it: --sought PASS."""

    class Mended(World):
        def is_bad(self, name: str) -> bool:
            return not super().is_bad(name)

    search = searched(Mended(line_of(8), "c5"), search_in(line_of(8), sought="PASS"))
    assert culprit_of(search) == "c5"


def test_a_record_keeps_all_of_a_search(tmp_path: Path) -> None:
    search: Search = searched(World(line_of(8), "c4", odd={"c2": ("FAIL", "kernel-alive")}))
    save(tmp_path, search)
    assert load(tmp_path) == search


# -- several at once -------------------------------------------------------------------------------------------------


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


def test_a_record_of_before_is_read_and_one_of_a_later_lab_is_not(tmp_path: Path) -> None:
    """What was begun then is of one suspect, whatever its kernel is called."""
    world = World(line_of(12), "c5", stop_at=6)
    search = search_in(world.range)
    with pytest.raises(KilledError):
        Engine(search, world, lambda now: save(tmp_path, now)).go()
    older = asdict(search)
    del older["begun"]["kernels"], older["asked"]["pairs"]
    write_record(tmp_path / FILE, {"format": 1, "search": older})
    world.stop_at = 0
    resumed = load(tmp_path)
    assert resumed == search
    assert culprit_of(searched(world, resumed)) == "c5"
    write_record(tmp_path / FILE, {"format": 3, "search": asdict(search)})
    with pytest.raises(BadInput, match="format 3"):
        load(tmp_path)


def test_that_a_rule_is_silent_can_be_looked_for() -> None:
    """From c5 on a pair proves what the case is about; before, each run is ERROR by preflight."""

    class Mended(World):
        def _one(self, name: str, session: str) -> Seen:
            bad = self.is_bad(name)
            return run_of("PASS" if bad else "ERROR", len(self.runs), session, "preflight")

    search = searched(Mended(line_of(8), "c5"), search_in(line_of(8), sought="no-preflight"))
    assert (search.ended, culprit_of(search)) == (Outcome.CULPRIT, "c5")
    other = searched(
        World(line_of(8), "c5", odd={"good": ("ERROR", "witnesses")}), search_in(line_of(8), sought="no-preflight")
    )
    assert other.why.startswith("the good end good cannot be judged: it gives no verdict")
