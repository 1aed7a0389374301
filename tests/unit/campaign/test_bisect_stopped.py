# SPDX-License-Identifier: GPL-2.0-only
"""A search that is stopped, by its budget, a signal or a kill, goes on from its record and says the same."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lab.campaign.bisect.decide import reason_to_skip
from lab.campaign.bisect.engine import Engine
from lab.campaign.bisect.model import Budget, Outcome, Search, Seen
from lab.campaign.bisect.record import FILE, load, save
from lab.campaign.bisect.wording import culprit_of
from lab.errors import BadInput
from lab.host.records import write_record
from tests.unit.campaign.world import KilledError, World, killed_and_resumed, line_of, run_of, search_in, searched


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

    def why_after(*seen: Seen) -> str:
        search.entries = [replace(search.entries[0], seen=one) for one in seen]
        return reason_to_skip(search.entries[0].suspect, search)

    before = search.paid
    search.entries.append(replace(search.entries[0], seen=cut))
    assert search.paid == before
    assert why_after(*[cut] * 9) == ""
    assert why_after(*[run_of("MISS", 1, "s", "host")] * 4) != ""


def test_a_record_keeps_all_of_a_search(tmp_path: Path) -> None:
    search: Search = searched(World(line_of(8), "c4", odd={"c2": ("FAIL", "kernel-alive")}))
    save(tmp_path, search)
    assert load(tmp_path) == search


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
