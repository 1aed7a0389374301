# SPDX-License-Identifier: GPL-2.0-only
"""Stragglers: which batch is begun again where, and that the first result counts, whichever it is."""

from __future__ import annotations

import datetime
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from lab.archive.reports import judged
from lab.fleet import late
from lab.fleet.answers import ask
from lab.fleet.arrival import FLEET
from lab.fleet.attempts import ENDED, GIVEN_UP, FleetFolder
from lab.fleet.batch import is_done
from lab.fleet.crew import Crew
from lab.fleet.late import Late
from lab.fleet.orders import batches
from lab.host.paths import cache_root
from lab.plan.learnt import Learnt
from lab.plan.session import EVENTS_FILE, PLAN_FILE, dump
from lab.session.conduct import Listener, watch
from lab.session.learnt import load_learnt, remember_hosts
from lab.session.prepare import _ordered
from tests.unit.fleet import simulated
from tests.unit.fleet.made import bundle_of, plan_in


@pytest.fixture
def session(tmp_path: Path) -> Late:
    """Two batches that nobody has begun."""
    plan = plan_in(tmp_path / "results" / "s1")
    plan = replace(plan, runs=tuple(replace(run, batch=n // 2) for n, run in enumerate(plan.runs)))
    (plan.folder / FLEET).mkdir(parents=True)
    return Late(plan, FleetFolder(plan.folder), list(batches(plan)), Learnt())


def at(hours: float = 0) -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=hours)


def test_nothing_is_begun_again_while_a_batch_waits(session: Late) -> None:
    room = {"one": 1, "two": 3}
    first, second = session.batches
    session.fleet.begin(first, "one")
    assert list(session.look(room, at(3))) == []
    attempt = session.fleet.begin(second, "two")
    session.fleet.end(attempt, GIVEN_UP)  # it waits to be tried again
    assert list(session.look(room, at(3))) == []
    session.fleet.settle(second)
    assert list(session.look(room, at(3))) == [(first, "one", "two")]


def test_to_look_costs_no_more_where_there_are_thousands_of_batches(
    session: Late, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one waits, only the last is looked at; and the runs of a plan are put into batches once."""
    looked: list[str] = []
    is_settled = FleetFolder.is_settled

    def asked(fleet: FleetFolder, name: str) -> bool:
        looked.append(name)
        return is_settled(fleet, name)

    monkeypatch.setattr(FleetFolder, "is_settled", asked)
    monkeypatch.setattr(late, "batches", lambda _: pytest.fail("once more"))
    first, second = session.batches
    session.fleet.begin(first, "one")
    assert list(session.look({"one": 1, "two": 1}, at(3))) == []
    assert looked == [second]
    session.fleet.settle(second)
    assert list(session.look({"one": 1, "two": 1}, at(3))) == [(first, "one", "two")]
    looked.clear()
    assert list(session.look({"one": 1, "two": 1}, at(3))) == []
    assert looked == [first]  # what was settled is not asked for again


def test_it_is_begun_again_once_where_there_is_room_and_only_when_it_is_late(session: Late) -> None:
    first, second = session.batches
    session.fleet.begin(first, "one")
    session.fleet.begin(second, "two")
    assert list(session.look({"one": 1, "two": 1}, at(3))) == []
    assert list(session.look({"one": 1, "two": 1, "three": 1}, at())) == []
    assert list(session.look({"one": 1, "two": 1, "three": 1}, at(3))) == [(first, "one", "three")]
    assert list(session.look({"one": 1, "two": 1, "three": 1}, at(3))) == []  # its process is about to start
    ended = session.fleet.begin(first, "three")
    assert list(session.look({"one": 1, "two": 1, "three": 1}, at(3))) == []
    session.fleet.end(ended, GIVEN_UP)
    assert list(session.look({"one": 1, "two": 1, "three": 1}, at(3))) == [(second, "two", "three")]


def test_what_a_killed_controller_had_begun_is_not_at_work(session: Late) -> None:
    for batch in session.batches:
        session.fleet.begin(batch, "one")
    again = Late(session.plan, session.fleet, session.batches, Learnt())
    assert list(again.look({"one": 1, "two": 2}, at(3))) == []


def test_it_goes_to_the_host_that_is_fastest_by_what_was_learnt(session: Late, tmp_path: Path) -> None:
    first = session.batches[0]
    results = {run.id: judged(bundle_of(session.plan, run, tmp_path), run.id) for run in batches(session.plan)[first]}
    for name, host, seconds in (("s1", "fast", 1.0), ("s2", "slow", 900.0)):
        told = {
            run: replace(
                result,
                manifest=result.manifest.model_copy(
                    update={"seconds": result.manifest.seconds.model_copy(update={"drive": seconds, "collect": 0.0})}
                ),
            )
            for run, result in results.items()
        }
        remember_hosts(replace(session.plan, name=name), told, dict.fromkeys(told, host), lambda _: None)
    known = load_learnt()
    session.known = known
    assert session.expected(first, "fast") < session.expected(first, "new") < session.expected(first, "slow")
    for batch in session.batches:
        session.fleet.begin(batch, "new")
    again = list(session.look({"slow": 1, "fast": 1}, at(3)))
    assert next(host for _, _, host in again) == "fast"
    runs, kernels = session.plan.runs, session.plan.kernels
    expected = [
        sum(run.seconds for run in _ordered(runs, kernels, 2, known, [f"auto on {host}" for host in hosts]))
        for hosts in (["fast"], ["fast", "slow"], ["slow"])
    ]
    assert expected[1] == pytest.approx((expected[0] + expected[2]) / 2)
    assert expected[0] < expected[1]


def test_the_first_result_counts_and_what_the_other_sends_is_kept(
    session: Late, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real session over two processes that speak the wire, of which one would take ten minutes."""
    monkeypatch.setattr(late, "LEAST", 1.0)
    monkeypatch.setattr(late, "SLOW", 0.0)
    plan = session.plan
    plan.sockets.mkdir()
    config = simulated.make(tmp_path / "hosts", plan, 0.2, {"slow": 600.0})
    answers = tuple(ask(simulated.host(config, name)) for name in ("slow", "fast"))
    assert [answer.problem for answer in answers] == ["", ""]
    (tmp_path / "hosts.ini").write_text("")
    said: list[str] = []
    crew = Crew(tmp_path / "hosts.ini", answers, "local", said.append)
    (plan.folder / PLAN_FILE).write_bytes(dump(plan, cache_root()))
    try:
        done = watch(plan, crew, Listener())
    finally:
        crew.end()
    assert set(done.results) == {run.id for run in plan.runs}
    assert all(is_done(plan.folder / run.id) for run in plan.runs)
    attempts = crew.fleet.all_attempts()
    assert Counter((a.host, a.state) for a in attempts) == {("fast", ENDED): 2, ("slow", GIVEN_UP): 1}
    (beaten,) = (a for a in attempts if a.state == GIVEN_UP)
    assert beaten.why == "another host was faster"
    kept = crew.fleet.folder(beaten) / "late"
    assert {path.name for path in kept.iterdir()} == {run.id for run in batches(plan)[beaten.batch]}
    assert crew.fleet.strikes("slow") == ()
    events = (plan.folder / EVENTS_FILE).read_text()
    assert events.count('"verdict"') == len(plan.runs)
    assert any("takes long on slow: it is begun again on fast" in line for line in said)
