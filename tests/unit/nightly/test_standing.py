# SPDX-License-Identifier: GPL-2.0-only
"""What is told of a track, night by night: from rows alone, each word on its red side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from lab.archive.compare import Change
from lab.archive.rows import RunRow
from lab.campaign.standing import Seen, Standing, Told, interrupted, looked_at
from tests.unit.archive.test_compare import row


@dataclass
class Track:
    """One track, and what was told of it. Words of a night: the first run, then those of its repeats, in turn."""

    runs: list[RunRow] = field(default_factory=list)
    pending: list[RunRow] = field(default_factory=list)
    standing: Standing | None = None
    known: bool = False

    def night(self, words: str, most: int = 100, **given: Any) -> str:  # noqa: ANN401 - any column
        """What is told: "" for nothing, else the kind of the change. `words` goes on with its last for ever."""
        tonight, said = list(self.pending), iter(_for_ever(words))
        kernel = f"k{len(self.runs)}"
        while True:
            at = len(self.runs) + len(tonight)
            tonight.append(row(next(said), at, kernel=kernel, **given))
            seen = looked_at("hold/virtio", self.runs, tonight, self.standing, known=self._known)
            if not seen.again or len(tonight) >= most:
                break
        self.standing = seen.standing
        self.ran = len(tonight) - len(self.pending)
        self.pending = tonight if seen.standing.pending else []
        self.runs += [] if self.pending else tonight
        return self._told(seen)

    def _known(self, change: Change) -> Change:
        bad = change.witness is not None and change.witness.word == "FAIL"
        return replace(change, known=("one",)) if self.known and bad else change

    def _told(self, seen: Seen) -> str:
        if seen.back:
            return "back"
        return str(seen.change.kind) if seen.news else ""


def _for_ever(words: str) -> Iterator[str]:
    yield from words
    while True:
        yield words[-1]


def after(words: str, nights: int = 30) -> Track:
    track = Track()
    for _ in range(nights):
        track.night(words)
    return track


def test_a_regression_is_told_once_and_so_is_its_end() -> None:
    track = after("P")
    assert [track.night(word) for word in "FFFF"] == ["new fail", "", "", ""]
    assert track.ran == 1  # what was told is not run again and again
    assert [track.night(word) for word in "PPPP"] == ["fixed", "", "", ""]


def test_what_differs_is_run_again_before_it_is_told() -> None:
    track = after("P", 15)
    assert track.night("F") == "new fail"
    assert track.ran == 2
    young = after("P", 3)
    assert young.night("F") == "new fail"
    assert young.ran == 4


def test_a_failure_that_does_not_come_again_is_not_told() -> None:
    track = after("P", 20)
    assert track.night("FP") == ""
    assert track.ran > 5  # nobody says "it was nothing" after one pass
    assert track.standing == Standing(Told.PASSES, track.runs[0].started)
    assert track.night("P") == ""


def test_one_that_comes_now_and_then_is_told() -> None:
    track = after("P", 40)
    assert track.night("FPFPFPFP") == "new fail"


def test_a_failure_that_nobody_could_make_sure_of_is_no_old_one_the_next_night() -> None:
    track = after("P", 15)
    assert track.night("F", most=1) == ""
    assert track.standing is not None
    assert track.standing.pending
    assert track.night("F") == "new fail"
    assert track.ran == 1  # yesterday's counts


def test_the_first_night_tells_what_is_not_as_predicted() -> None:
    assert Track().night("P") == ""
    assert Track().night("F") == ""
    assert Track().night("F", surprise=1) == "new"
    assert Track().night("M") == "new"
    assert Track().night("MP") == ""
    assert Track().night("S") == ""


def test_silence_is_told_once_and_so_is_its_end() -> None:
    track = after("P")
    assert track.night("M") == "no verdict"
    assert track.ran > 1
    assert track.night("M") == ""
    assert track.night("P") == "back"
    assert track.night("MP") == ""  # a MISS that is made good


def test_what_was_interrupted_is_nobodys_trouble() -> None:
    assert interrupted(row("M", 1, incidents="lost interrupted"))
    assert not interrupted(row("M", 1, incidents="lost"))
    assert not interrupted(row("F", 1, incidents="interrupted"))


def test_one_oops_is_an_oops() -> None:
    track = after("F", 20)
    assert track.night("F", most=1, fault=1) == "new fail"
    assert track.night("F", fault=1) == ""
    green = after("P", 5)
    assert green.night("F", most=1, fault=1) == "new fail"


def test_a_flaky_cell_is_told_once() -> None:
    track = after("P", 10)
    told = [track.night(word, most=1) for word in "PFPPFPPFPPPFPPFPPPFPPFPPPFPPF" * 2]
    assert len([kind for kind in told if kind]) <= 2
    assert track.standing is not None
    assert track.standing.told is Told.FLAKY
    assert [track.night(word, most=1) for word in "PFP"] == ["", "", ""]
    told = [track.night("F") for _ in range(12)]  # it was flaky, and is broken now
    assert sorted(told) == [*[""] * 11, "new fail"]
    assert told.index("new fail") > 3


def test_what_is_known_is_not_told_until_it_is_known_no_more() -> None:
    track = after("P")
    track.known = True
    assert track.night("F") == ""
    assert track.night("F") == ""
    track.known = False
    assert track.night("F") == "still failing"
    assert track.night("F") == ""


NOISE = (0.0, 0.4, -0.6, 0.9, -0.2, 0.1, -0.9, 0.5, -0.4, 0.2)


def test_a_number_that_moved_is_seen_twice_and_told_once() -> None:
    def mib(value: float) -> int:
        return int(value * 2**20)

    track = Track()
    for turn in range(30):
        track.night("F", escaped=mib(250 + NOISE[turn % 10]))
    assert track.night("F", escaped=mib(262)) == "number moved"
    assert track.ran > 1
    assert [track.night("F", escaped=mib(262 + NOISE[n])) for n in range(5)] == [""] * 5


def test_a_number_that_does_not_move_again_is_not_told() -> None:
    past = [row("F", n, escaped=int((250 + NOISE[n % 10]) * 2**20)) for n in range(30)]
    standing = Standing(Told.FAILS, past[0].started)
    tonight = [row("F", 40, escaped=280 * 2**20)]
    assert looked_at("t", past, tonight, standing).again == 1
    tonight.append(row("F", 41, escaped=250 * 2**20))
    seen = looked_at("t", past, tonight, standing)
    assert (seen.again, seen.news) == (0, False)


def test_without_what_was_told_the_history_says_what_is_new() -> None:
    track = after("P")
    track.night("F")
    track.standing = None
    assert track.night("F") == ""
    assert track.night("P") == "fixed"


@pytest.mark.parametrize("words", ["P", "F"])
def test_nothing_is_run_again_where_nothing_differs(words: str) -> None:
    assert after(words).ran == 1
