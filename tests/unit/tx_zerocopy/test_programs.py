# SPDX-License-Identifier: GPL-2.0-only
"""tx-client and tx-peer, really built and really talking. Over loopback the kernel copies, and says so."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.unit.guest.programs import Line, Program, Tools

MIB = 1 << 20
ZEROCOPY = ("keep", "ring")


@contextmanager
def talking(
    tools: Tools, behaviour: str, own: tuple[object, ...], peer: tuple[object, ...]
) -> Iterator[tuple[Program, Program]]:
    """A client of that behaviour, and its peer."""
    with tools.start("tx-client", "--behaviour", behaviour, "--name", "t", "--port", 0, *own) as client:
        port = client.until("ready")["port"]
        with tools.start("tx-peer", "--to", "127.0.0.1", "--port", port, *peer) as other:
            yield client, other


def notified(client: Program) -> Line:
    """The first line on which every send has been notified."""
    while (line := client.read()) is not None:
        if line.event == "progress" and line["completed"] == line["zerocopied"] == line["sent"]:
            return line
    raise AssertionError(f"not all was notified: {client.lines[-1].fields}")


@pytest.mark.parametrize("behaviour", ["keep", "ring", "copy"])
@pytest.mark.parametrize(("size", "sockets"), [(1, 1), (4097, 1), (3 * MIB + 5, 3)])
def test_what_arrives_is_what_was_sent(tools: Tools, behaviour: str, size: int, sockets: int) -> None:
    both = ("--sockets", sockets, "--bytes", size, "--seed", 7, "--verify")
    with talking(tools, behaviour, both, both) as (client, peer):
        got, status = peer.end()
        assert (got.event, got["received"], got["mismatches"], status) == ("done", size, 0, 0)
        holding = client.until("holding")
        assert (holding.text("reason"), holding["sent"]) == ("complete", size)
        client.tell("quit")
        done, status = client.end()
        assert (done.text("hash"), status) == (got.text("hash"), 0)


@pytest.mark.parametrize("behaviour", ZEROCOPY)
def test_each_send_is_notified_once_and_a_copy_is_told(tools: Tools, behaviour: str) -> None:
    both = ("--sockets", 2, "--bytes", 4 * MIB)
    with talking(tools, behaviour, both, both) as (client, _):
        line = notified(client)
        assert line["notified"] == line["sends"] > 0
        assert (line["twice"], line["unknown"], line["early"]) == (0, 0, 0)
        assert (line["copied"], line["uncopied"]) == (4 * MIB, 0)


def test_who_copies_asks_for_no_notification(tools: Tools) -> None:
    both = ("--bytes", 2 * MIB)
    with talking(tools, "copy", both, both) as (client, peer):
        peer.end()
        line = client.until("holding")
        assert (line["sends"], line["zerocopied"], line["completed"], line["sent"]) == (0, 0, 0, 2 * MIB)


def test_a_peer_that_waits_fills_the_socket_until_it_may_go(tools: Tools) -> None:
    own, peer = ("--bytes", 16 * MIB, "--sndbuf", 256 << 10), ("--waits", "--rcvbuf", 64 << 10)
    with talking(tools, "keep", own, peer) as (client, other):
        full = client.until("holding")
        assert (full.text("reason"), full["anon"]) == ("full", 0)
        assert 0 < full["held"] == full["unacked"] < full["sent"] < 16 * MIB
        other.tell("go")
        line = notified(client)
        assert (line["held"], line["unacked"], line["sent"]) == (0, 0, full["sent"])
        client.tell("quit")
        client.end()
        got, status = other.end()
        assert (got["received"], status) == (full["sent"], 0)


def test_a_window_smaller_than_a_send_leaves_nobody_without_a_notification(tools: Tools) -> None:
    own = ("--bytes", 16 * MIB, "--sndbuf", 4 * MIB, "--chunk", MIB, "--sockets", 2)
    with talking(tools, "keep", own, ("--waits", "--rcvbuf", 64 << 10, "--sockets", 2)) as (client, _):
        full = client.until("holding")
        assert full["held"] > MIB
        assert full["notified"] == 2  # one of each connection, and of a page
        assert full["completed"] == 2 * 4096


@pytest.mark.parametrize("behaviour", ["keep", "copy"])
def test_what_is_reset_is_held_no_more(tools: Tools, behaviour: str) -> None:
    own, peer = ("--bytes", 16 * MIB, "--sndbuf", 256 << 10), ("--waits", "--rcvbuf", 64 << 10)
    with talking(tools, behaviour, own, peer) as (client, other):
        full = client.until("holding")
        assert full["held"] + full["queued"] > 0
        client.tell("release")
        line = client.until("released")
        assert (line["held"], line["queued"], line["anon"]) == (0, 0, 0)
        other.tell("go")
        got, status = other.end()
        assert (got["errno"], status) == (errno.ECONNRESET, 0)


def test_it_stops_when_it_is_told_to(tools: Tools) -> None:
    with talking(tools, "keep", (), ()) as (client, _):
        client.until("progress")
        client.tell("stop")
        assert client.until("holding").text("reason") == "stopped"
        client.tell("quit")
        done, status = client.end()
        assert (done["anon"], status) == (0, 0)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes somebody else")
def test_nobody_may_pin_no_more_than_its_limit(tools: Tools) -> None:
    own, peer = ("--bytes", 16 * MIB, "--sndbuf", 8 * MIB, "--memlock", MIB), ("--waits", "--rcvbuf", 64 << 10)
    with talking(tools, "keep", own, peer) as (client, _):
        line = client.until("holding")
        assert client.lines[0]["memlock"] == MIB
        assert (line.text("reason"), line["refusal"]) == ("refused", errno.ENOBUFS)
        assert 0 < line["held"] <= line["sent"]


def test_what_it_cannot_do_is_told_at_once(tools: Tools) -> None:
    line, status = tools.run("tx-client", "--behaviour", "shred", "--name", "t", "--port", 0, "--chunk", 5000)
    assert status == 2
    assert all(word in line.text("message") for word in ("shred", "--chunk must be a multiple of 4096"))
    line, status = tools.run("tx-peer", "--to", "nowhere", "--port", 1)
    assert (status, "neither an IPv4" in line.text("message")) == (2, True)
    line, status = tools.run("tx-peer", "--to", "127.0.0.1", "--port", 1)
    assert (status, "127.0.0.1 port 1" in line.text("message")) == (1, True)
