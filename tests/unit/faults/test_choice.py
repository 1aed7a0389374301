# SPDX-License-Identifier: GPL-2.0-only
"""A round is its seed's: the same session, moment and fault whenever it is played."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults import files
from tests.faults.__main__ import _token, seed_of
from tests.faults.processes import role_of
from tests.faults.rounds import Outcome, Token, token_of
from tests.faults.sessions import Scenario
from tests.faults.summary import markdown, never_done
from tests.faults.table import TABLE
from tests.faults.world import World, clone, own


def rounds(seed: int, only: tuple[str, ...] = ()) -> list[tuple[str, str, int, float]]:
    tokens = [token_of(seed, number, only, root=True) for number in range(60)]
    return [(t.kind, str(t.scenario()), t.scenario().lines, t.scenario().delay) for t in tokens]


def test_a_seed_gives_the_same_rounds_again_and_another_one_others() -> None:
    assert rounds(7) == rounds(7)
    assert rounds(7) != rounds(8)


def test_a_campaign_tries_many_kinds_sessions_and_moments() -> None:
    drawn = rounds(7)
    kinds, scenarios, lines, delays = (len(set(column)) for column in zip(*drawn, strict=True))
    assert min(kinds, scenarios) > 20
    assert min(lines, delays) > 8


def test_only_some_kinds() -> None:
    assert {kind for kind, *_ in rounds(7, ("panic", "clock"))} == {"panic", "clock"}


def test_who_is_not_root_gets_no_round_that_needs_it() -> None:
    kinds = {token_of(7, number, (), root=False).kind for number in range(500)}
    assert kinds
    assert not any(TABLE[kind].needs_root for kind in kinds)


def test_every_kind_can_be_drawn() -> None:
    assert {token_of(7, number, (), root=True).kind for number in range(4000)} == set(TABLE)


@pytest.mark.parametrize("token", [token_of(5, number, (), root=True) for number in range(5)], ids=str)
def test_what_a_campaign_prints_is_what_it_replays(token: Token) -> None:
    assert _token(str(token)) == token


def test_seeds() -> None:
    assert seed_of("12") == 12
    assert seed_of("commit") == seed_of("commit") > 0
    with pytest.raises(SystemExit) as refused:
        seed_of("x")
    assert refused.value.code == 2


@pytest.mark.parametrize(
    ("argv", "role"),
    [
        ("/usr/bin/qemu-system-x86_64 -name guest=lab-ab12-receiver,debug-threads=on", "qemu"),
        ("/usr/bin/tini -s -p SIGINT -- /v/bin/python -m lab.session.engine", "reaper"),
        ("/v/bin/python -m lab.session.engine", "engine"),
        ("/v/bin/python -m pytest suites -n 1 --lab-plan p", "engine"),
        ("/v/bin/python -P -m lab.provision.guardian /tmp/lab-x", "guardian"),
        ("/v/bin/python /v/bin/lab run hold", "lab"),
        ("/v/bin/python -P -m lab.cli shell", "lab"),
        ("ssh -F /dev/null root@127.0.0.1", "other"),
    ],
)
def test_who_is_who(argv: str, role: str) -> None:
    assert role_of(tuple(argv.split())) == role
    assert role_of(("python", "-u", "-c", "import sys;exec(eval(sys.stdin.readline()))")) == "worker"


@pytest.mark.parametrize("how", ["cut", "flipped", "scribbled"])
def test_what_is_damaged_is_not_what_it_was(tmp_path: Path, how: str) -> None:
    for seed in range(20):
        path = tmp_path / "file"
        path.write_bytes(bytes(range(200)) * 20)
        before = files.digest(path)
        files.spoil(path, how, random.Random(seed))
        assert files.digest(path) != before


def test_damage_in_a_round_stays_there(tmp_path: Path, world: World) -> None:
    base, copy = tmp_path / "base", tmp_path / "copy"
    (base / "images" / "k").mkdir(parents=True)
    (base / "images" / "k.lock").touch()
    original = base / "images" / "k" / "userland.erofs"
    original.write_bytes(b"x" * (2 << 20))
    clone(base, copy)
    copied = copy / "images" / "k" / "userland.erofs"
    assert copied.samefile(original)
    assert not (copy / "images" / "k.lock").exists()
    own(copied)
    files.spoil(copied, "cut", random.Random(1))
    assert original.read_bytes() == b"x" * (2 << 20)


def test_the_table_counts_what_was_played() -> None:
    played = [
        Outcome(Token(1, 0, "panic"), Scenario("run"), done="x", words=("hold=FAIL",)),
        Outcome(Token(1, 1, "panic"), Scenario("run"), note="no guest now"),
        Outcome(Token(1, 2, "clock"), Scenario("run"), done="x", words=("hold=PASS",), broken=["y"]),
    ]
    text = markdown(played, 120)
    assert "| `panic` | 2 | 1 | 1 FAIL |  |" in text
    assert "| `clock` | 1 | 1 | 1 PASS | 1 |" in text
    assert "3 rounds in 2 minutes, 2 with a fault done, 1 broken." in text


def test_a_kind_that_was_never_done_is_told_when_it_had_its_chances() -> None:
    idle = [Outcome(Token(1, n, "panic"), Scenario("run"), note="no guest now") for n in range(4)]
    assert never_done(idle) == ["panic"]
    assert "`panic` was never done" in markdown(idle, 60)
    assert never_done(idle[:3]) == []
    assert never_done([*idle, Outcome(Token(1, 4, "panic"), Scenario("run"), done="x")]) == []
