# SPDX-License-Identifier: GPL-2.0-only
"""Sessions that hosts of tests/vm/hosts.py do, and what must be true of them whatever happened."""

from __future__ import annotations

import contextlib
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from lab.host.paths import project_root
from lab.units import Deadline, wait_until
from tests.vm.hosts import Fleet
from tests.vm.sessions import LONG, Session, running

LAB = [sys.executable, "-P", "-m", "lab"]
WORDS = {"hold": "FAIL", "copy-control": "PASS"}
NICS = ("loopback", "virtio")
Words = Mapping[tuple[str, str, str], str]
"""By case, NIC and line of the kernel."""


def runs_on(*lines: str, cases: Sequence[str] = tuple(WORDS)) -> tuple[str, ...]:
    """Arguments of `lab run`: a batch for each line and NIC, with a run of each case."""
    options = [("--kernel", line) for line in lines] + [("--nic", nic) for nic in NICS]
    return (*cases, *(word for option in options for word in option))


def words_on(*lines: str, cases: Sequence[str] = tuple(WORDS)) -> Words:
    """Those of one host."""
    return {(case, nic, line): WORDS[case] for case in cases for nic in NICS for line in lines}


@contextlib.contextmanager
def controlling(hosts: Fleet, folder: Path, *argv: str) -> Iterator[Session]:
    """`lab run --hosts`, and the folder of its session once there is one."""
    env = {"PYTHONPATH": str(project_root()), "LAB_LEASE": "20"}
    with running(
        folder,
        [*LAB, "run", *argv, "--hosts", str(hosts.inventory), "--results", str(folder)],
        log=folder / "log",
        env=env,
    ) as session:

        def made() -> tuple[Path | None, object]:
            assert session.process.poll() is None, session.text
            found = [path for path in folder.glob("20*") if (path / "plan.json").exists()]
            return (found[0] if found else None), session.text[-300:]

        session.folder = wait_until(made, deadline=Deadline.after("the session's folder", LONG))
        yield session


def told_of(session: Session, host: str) -> list[str]:
    """What this host was said to be doing, oldest first."""
    return [str(event.get("what", "")) for event in session.events if event.get("worker") == host]


def await_work(session: Session, host: str, limit: timedelta = LONG) -> None:
    """Until a run is at work on this host."""

    def told() -> tuple[bool | None, object]:
        assert session.process.poll() is None, session.text
        said = told_of(session, host)
        return (True if any("." in what.split(" ")[0] and "waiting" not in what for what in said[-1:]) else None), said[
            -3:
        ]

    wait_until(told, deadline=Deadline.after(f"a run on {host}", limit))


def await_stage(session: Session, host: str, stage: str) -> None:
    """Until this host was at what is told so."""

    def told() -> tuple[bool | None, object]:
        assert session.process.poll() is None, session.text
        said = told_of(session, host)
        return (True if stage in said else None), said[-3:]

    wait_until(told, deadline=Deadline.after(f"{stage!r} on {host}", LONG))


def words(session: Session) -> Words:
    """What its runs came to."""
    return {(r["case"], r["nic"], ".".join(r["kernel_release"].split(".")[:2])): r["verdict"] for r in session.results}


def assert_whole(session: Session, expected: Words) -> None:
    """Nothing is lost, nothing is there twice, and every word is that of one host.

    Of a run that ended with its first controller, MISS may have been told before.
    """
    assert words(session) == expected, session.text
    assert len(session.results) == len(expected)
    told: dict[str, list[str]] = defaultdict(list)
    for event in session.events:
        if event["event"] == "verdict":
            told[event["run"]].append(event["word"])
    assert len(told) == len(expected)
    assert {word for said in told.values() for word in said[:-1]} <= {"MISS"}, told
