# SPDX-License-Identifier: GPL-2.0-only
"""The wire: real pipes, and a real `lab batch --serve` at the other end."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lab.errors import BadInput, HostTrouble
from lab.fleet.artefacts import artefacts_of, begun, lacking, partial_of, place_of
from lab.fleet.inventory import FleetHost
from lab.fleet.link import linked
from lab.fleet.wire import ALIVE, DATA, MESSAGE, LinkLost, Wire, lease
from lab.host.paths import cache_root, project_root
from lab.host.version import lab_code
from lab.plan.session import SessionPlan
from lab.units import MIB, Deadline, wait_until
from tests.unit.fleet.made import plan_in

SHORT = timedelta(seconds=0.3)


@pytest.fixture
def ends() -> Iterator[tuple[Wire, int, int]]:
    """A wire, and what its other end reads from and writes to."""
    (inward, theirs_out), (theirs_in, outward) = os.pipe(), os.pipe()
    yield Wire(inward, outward, lease=SHORT, who="host", start=SHORT), theirs_in, theirs_out
    for fd in (inward, theirs_out, theirs_in, outward):
        with contextlib.suppress(OSError):
            os.close(fd)


def test_frames_arrive_as_they_were_sent(ends: tuple[Wire, int, int]) -> None:
    wire, _, theirs_out = ends
    there = Wire(0, theirs_out)

    def speak() -> None:
        there.send(ALIVE)
        there.send(DATA, b"x" * 300_000)
        there.tell(a=1)

    sender = threading.Thread(target=speak)
    sender.start()
    assert wire.read() == (ALIVE, b"")
    assert wire.read() == (DATA, b"x" * 300_000)
    assert wire.hear() == {"a": 1}
    sender.join()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"Z\0\0\0\0", "no frame"),
        (b"D\xff\xff\xff\xff", "no frame"),
        (b"J\0\0\0\x02{]", "no message"),
        (b"J\0\0\0\x02[]", "no message"),
        (b"J\0\0\0\x09{", "silence|signs? of life|rest of a frame"),
        (b"D\0\0\0\x01x", "data where a message is wanted"),
        (b"", "sign of life"),
    ],
)
def test_what_is_no_frame_and_silence_are_trouble(ends: tuple[Wire, int, int], data: bytes, said: str) -> None:
    wire, _, theirs_out = ends
    os.write(theirs_out, data)
    with pytest.raises(HostTrouble, match=said):
        wire.hear()


def test_an_end_that_is_closed_or_takes_nothing_is_lost(ends: tuple[Wire, int, int]) -> None:
    wire, theirs_in, theirs_out = ends
    with pytest.raises(LinkLost, match="taken nothing"):
        wire.send(DATA, bytes(1 << 20))
    os.close(theirs_out)
    with pytest.raises(LinkLost, match="is gone"):
        wire.read()
    os.close(theirs_in)
    with pytest.raises(LinkLost, match="is gone"):
        wire.send(MESSAGE, b"{}")


def test_more_than_was_agreed_on_is_not_taken(ends: tuple[Wire, int, int]) -> None:
    wire, _, theirs_out = ends
    os.write(theirs_out, b"D\0\0\0\x05hello" * 2)
    with pytest.raises(HostTrouble, match="more than"):
        list(wire.pieces(9))


@pytest.fixture
def host(tmp_path: Path) -> FleetHost:
    """A host with a cache of its own, in a process of its own."""
    command = f"LAB_CACHE={tmp_path}/there LAB_RUNTIME={tmp_path} PYTHONPATH={project_root()} {sys.executable}"
    return FleetHost("one", ("sh", "-c", f"{command} -P -m lab batch --serve"), 1)


def test_a_host_is_given_what_it_lacks_once_and_the_rest_of_what_it_has_begun(
    host: FleetHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan: SessionPlan = plan_in(tmp_path)
    image = cache_root() / "kernels" / "k" / "image"
    image.write_bytes(os.urandom(3_000_000))
    files = artefacts_of(plan)
    big = next(artefact for artefact in files if artefact.size == 3_000_000)
    with monkeypatch.context() as there:
        there.setenv("LAB_CACHE", str(tmp_path / "there"))
        partial_of(big).parent.mkdir(parents=True)
        partial_of(big).write_bytes(image.read_bytes()[:1_000_000])
        assert begun(big) == 1_000_000
    with linked(host) as link:
        assert link.facts()["lab_code"] == lab_code()
        assert link.push(files, lambda _: None) == sum(a.size for a in files) - 1_000_000
        assert link.push(files, lambda _: None) == 0
    with monkeypatch.context() as there:
        there.setenv("LAB_CACHE", str(tmp_path / "there"))
        assert lacking(files) == ()
        assert place_of(big).read_bytes() == image.read_bytes()
        assert not partial_of(big).exists()
        place_of(big).write_bytes(b"rotten")
        assert lacking(files) == (big,)


def test_who_is_told_to_stop_while_it_pushes_says_so_and_the_host_keeps_what_it_has(
    host: FleetHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan: SessionPlan = plan_in(tmp_path)
    (cache_root() / "kernels" / "k" / "image").write_bytes(os.urandom(20 * MIB))
    big = next(artefact for artefact in artefacts_of(plan) if artefact.size == 20 * MIB)
    stopping, told = threading.Event(), list[str]()

    def stop(what: str) -> None:
        told.append(what)
        if len(told) == 2:
            stopping.set()

    with linked(host, stopping) as link, pytest.raises(HostTrouble, match=f"told to stop while {big.place} was"):
        link.push([big], stop)
    assert [what.rpartition(": ")[2] for what in told] == ["0 MiB of 20", "8 MiB of 20"]
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "there"))
    wait_until(
        lambda: (True if 8 * MIB <= begun(big) < 20 * MIB else None, begun(big)),
        deadline=Deadline.after("what has arrived", timedelta(seconds=30)),
    )


def test_a_host_refuses_what_is_not_what_it_should_be_and_nonsense(host: FleetHost, tmp_path: Path) -> None:
    """One process for all: an interpreter that imports the lab anew takes a while."""
    (first, *_) = artefacts_of(plan_in(tmp_path))
    lie = first.model_copy(update={"sha256": "0" * 64})
    with linked(host) as link:
        assert link.ask("put", artefacts=[lie.model_dump()]) == {"begun": 0}
        link.wire.send(DATA, b"x" * lie.size)
        link.wire.tell(whole=True)
        with pytest.raises(HostTrouble, match="arrived damaged"):
            link._heard()
        with pytest.raises(HostTrouble, match="space"):  # before a byte of it is sent
            link.ask("put", artefacts=[lie.model_dump() | {"size": 2**40}])
        outside = {"place": "../../etc/passwd", "sha256": "0" * 64, "size": "1"}
        for ask, more in (("nosuch", {}), ("put", {"artefacts": [outside]}), ("batch", {"order": "{}"})):
            with pytest.raises(BadInput):
                link.ask(ask, **more)
        sent = link.fetch("../../etc", tmp_path / "spool")
        assert (sent.code, sent.trouble) == (75, ("nothing of it is here",))
    assert [path.suffix for path in (tmp_path / "there" / "arrived").iterdir()] == [".lock"]


def test_a_host_that_cannot_be_reached_says_why() -> None:
    gone = FleetHost("one", ("sh", "-c", "echo no route to it >&2; exit 255"), 1)
    with pytest.raises(LinkLost, match="no route to it"), linked(gone) as link:
        link.facts()


def test_a_lease_is_a_number_of_seconds_within_reason() -> None:
    assert lease("20") == timedelta(seconds=20)
    assert {lease(text) for text in ("", "0", "5", "99999", "x", "-20", "1e3")} == {timedelta(seconds=60)}


def test_the_first_frame_may_take_longer_than_the_lease(ends: tuple[Wire, int, int]) -> None:
    wire, _, theirs_out = ends
    wire.start = timedelta(seconds=60)
    late = threading.Timer(4 * SHORT.total_seconds(), lambda: os.write(theirs_out, b".\0\0\0\0"))
    late.start()
    assert wire.read() == (ALIVE, b"")
    with pytest.raises(LinkLost):
        wire.read()
