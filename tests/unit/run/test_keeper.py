# SPDX-License-Identifier: GPL-2.0-only
"""Pairs of a worker: each is ended once, whoever waits for it, and its consoles are found."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.errors import GuestLost
from lab.pair.keeper import PairKeeper
from lab.plan.case import BARE, STANDARD, Shape
from lab.plan.matrix import Run
from lab.units import Deadline, wait_until

NONE: Any = None


@dataclass
class Pairs:
    """Stands for `warm_pair`: pairs that are being made wait for `go`, and are lost where their key says so."""

    go: threading.Event = field(default_factory=threading.Event)
    begun: list[str] = field(default_factory=list)
    living: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def __call__(self, _hypervisor: object, request: SimpleNamespace, *_args: object) -> Iterator[SimpleNamespace]:
        self.begun.append(request.id)
        assert self.go.wait(10)
        if request.id.startswith("lost"):
            raise GuestLost("the guest is gone")
        self.living.append(request.id)
        request.captures.mkdir()
        try:
            yield SimpleNamespace(id=request.id)
        finally:
            self.living.remove(request.id)


def run(name: str, pair_key: str = "", shape: Shape = STANDARD) -> Run:
    made: Any = SimpleNamespace(id=name, pair_key=pair_key or name, reference="", shape=shape)
    return cast(Run, made)


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> Pairs:
    made = Pairs()
    made.go.set()
    monkeypatch.setattr("lab.pair.keeper.warm_pair", made)
    monkeypatch.setattr("lab.pair.keeper.exists", lambda *_: True)
    monkeypatch.setattr("lab.pair.keeper.room_for_another", lambda *_: True)
    return made


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pairs: Pairs) -> Iterator[PairKeeper]:
    def request(_plan: object, run: Run, attempt: int) -> SimpleNamespace:
        name = f"{run.id}-{attempt}"
        return SimpleNamespace(id=name, captures=tmp_path / name)

    monkeypatch.setattr("lab.pair.keeper.pair_request", request)
    plan: Any = SimpleNamespace(folder=tmp_path, cold=False)
    kept = PairKeeper(NONE, plan, lambda _: None)
    yield kept
    kept.close()
    assert pairs.living == []


def test_a_clean_pair_serves_all_that_share_it(keeper: PairKeeper, pairs: Pairs) -> None:
    first = keeper.acquire(run("a", "key"))
    keeper.done(fit=True)
    assert keeper.acquire(run("b", "key")) is first
    assert pairs.begun == ["a-1"]


def test_a_pair_made_ahead_takes_the_place_of_the_one_before(keeper: PairKeeper, pairs: Pairs, tmp_path: Path) -> None:
    keeper.acquire(run("a"))
    keeper.expect(run("b"))
    keeper.done(fit=True)
    assert keeper.acquire(run("b")).id == "b-1"  # type: ignore[attr-defined]
    assert keeper.captures == tmp_path / "b-1"
    (leaving,) = keeper._leaving
    leaving.result(10)
    assert pairs.living == ["b-1"]


@pytest.mark.parametrize(("shape", "begun"), [(STANDARD, ["a-1"]), (BARE, ["a-1", "b-1"])])
def test_a_pair_that_serves_one_run_alone_does_not_do_for_the_next(
    keeper: PairKeeper, pairs: Pairs, shape: Shape, begun: list[str]
) -> None:
    keeper.acquire(run("a", "key", shape))
    keeper.expect(run("b", "key", shape))
    if keeper._next is not None:
        keeper._next.made.result(10)
    assert pairs.begun == begun


def test_a_pair_made_ahead_for_another_run_is_ended(keeper: PairKeeper, pairs: Pairs) -> None:
    keeper.expect(run("a"))
    assert keeper.acquire(run("b")).id == "b-1"  # type: ignore[attr-defined]
    assert pairs.living == ["b-1"]


def test_an_interrupt_while_a_pair_is_made_ahead(keeper: PairKeeper, pairs: Pairs, tmp_path: Path) -> None:
    """It comes while its run waits for it: the captures told are that pair's, and it is ended."""
    keeper.acquire(run("a"))
    pairs.go.clear()
    keeper.expect(run("b"))
    keeper.done(fit=False)
    main = threading.main_thread().ident
    assert main is not None
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever another test left there

    def interrupt() -> None:
        told = lambda: (keeper.captures == tmp_path / "b-1" or None, keeper.captures)  # noqa: E731
        wait_until(told, deadline=Deadline.after("the wait for the pair", timedelta(seconds=10)))
        signal.pthread_kill(main, signal.SIGINT)

    sender = threading.Thread(target=interrupt)
    sender.start()
    with pytest.raises(KeyboardInterrupt):
        keeper.acquire(run("b"))
    sender.join()
    signal.signal(signal.SIGINT, before)
    assert keeper.captures == tmp_path / "b-1"
    pairs.go.set()
    keeper.close()
    assert pairs.living == []


def test_what_was_lost_is_made_once_more_and_no_more(keeper: PairKeeper, pairs: Pairs) -> None:
    told: list[str] = []
    keeper.progress = told.append
    keeper.expect(run("lost"))
    for _ in range(2):
        with pytest.raises(GuestLost):
            keeper.acquire(run("lost"))
    assert told == ["the pair that was restored ahead is lost: the guest is gone"]
    assert len(pairs.begun) == 2
