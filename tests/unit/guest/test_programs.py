# SPDX-License-Identifier: GPL-2.0-only
"""zc-client and zc-sender, really built and really talking, with or without root and mappable pages."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from tests.unit.guest.programs import Line, Tools, check_counters, pattern

KEEPERS = ("map", "copy", "hold", "hold-no-hint", "hold-or-copy", "pin-vmsplice", "pin-tee", "pin-fork", "pin-sendzc")
MIB = 1 << 20


def kept(behaviour: str, line: Line) -> int:
    """What the behaviour promises to keep, by its own kind of counter."""
    return {
        "map": 0,
        "copy": line["anon"],
        "hold": line["mapped_now"],
        "hold-no-hint": line["mapped_now"],
        "hold-or-copy": line["mapped_now"],
    }.get(behaviour, line["pinned"])


@pytest.mark.parametrize("behaviour", KEEPERS)
@pytest.mark.parametrize(
    ("size", "sockets"), [(1, 1), (4095, 1), (4097, 1), (10 * MIB + 3, 1), (3 * MIB + 5, 3), (2, 3)]
)
def test_delivers_what_was_sent(tools: Tools, behaviour: str, size: int, sockets: int) -> None:
    both = ("--sockets", sockets, "--bytes", size, "--seed", 7)
    with tools.client(behaviour, *both, "--verify") as (client, port), tools.sender(port, *both) as sender:
        sent, status = sender.end()
        assert (sent.event, sent["sent"], status) == ("done", size, 0)

        holding = client.until("holding")
        check_counters(holding)
        assert (holding.text("reason"), holding["delivered"]) == ("complete", size)
        promised = {"map": 0, "copy": size}.get(behaviour, holding["mapped"])
        acknowledged = 512 << 10 if behaviour == "pin-sendzc" else 0  # what its peers took before their windows closed
        assert promised - acknowledged <= kept(behaviour, holding) <= promised

        client.tell("release", "quit")
        released = client.until("released")
        assert released["held"] == released["mapped_now"] == released["pinned"] == 0
        done, status = client.end()
        assert (done.event, status, done["mismatches"], done["first_mismatch"]) == ("done", 0, 0, -1)
        assert done.text("hash") == sent.text("hash")


@pytest.mark.parametrize("behaviour", KEEPERS)
def test_without_bytes_it_runs_to_the_end_of_the_stream(tools: Tools, behaviour: str) -> None:
    with tools.client(behaviour, "--sockets", 2) as (client, port):
        with tools.sender(port, "--sockets", 2, "--bytes", MIB + 1) as sender:
            assert sender.end()[0].event == "done"
        holding = client.until("holding")
        assert (holding.text("reason"), holding["delivered"]) == ("eof", MIB + 1)


@pytest.mark.parametrize("behaviour", KEEPERS)
def test_takes_no_byte_more_than_it_was_told(tools: Tools, behaviour: str) -> None:
    with tools.client(behaviour, "--bytes", MIB + 5) as (client, port), tools.sender(port) as sender:
        assert client.until("holding")["delivered"] == MIB + 5
        client.tell("quit")
        assert client.end()[1] == 0
        broken, status = sender.end()
        assert (broken.event, status) == ("broken", 0)
        assert broken["errno"] > 0


def test_takes_no_more_once_it_keeps_enough(tools: Tools) -> None:
    most = ("--most", MIB, "--chunk", 64 << 10)
    with tools.client("copy", *most, "--bytes", 64 * MIB) as (client, port), tools.sender(port):
        holding = client.until("holding")
        assert holding.text("reason") == "complete"
        assert MIB <= holding["held"] <= MIB + (128 << 10)


def test_killed_sender_ends_delivery(tools: Tools) -> None:
    with tools.client("copy", "--ring", 65536) as (client, port):
        with tools.sender(port, "--rate", MIB) as sender:
            client.until("progress")
            sender.process.kill()
        assert client.until("holding").text("reason") in ("eof", "error")


def test_reset_is_an_error_with_errno_and_call(tools: Tools) -> None:
    with tools.client("map") as (client, port):
        with socket.create_connection(("127.0.0.1", port)) as peer:
            client.until("accepted")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        holding = client.until("holding")
        assert (holding.text("reason"), holding["errno"]) == ("error", errno.ECONNRESET)
        assert holding.text("call") in ("TCP_ZEROCOPY_RECEIVE", "recv")  # whichever came first


def test_killed_client_breaks_the_sender(tools: Tools) -> None:
    with tools.client("copy", "--ring", 65536) as (client, port), tools.sender(port) as sender:
        client.until("progress")
        client.process.kill()
        broken, status = sender.end()
        assert (broken.event, status) == ("broken", 0)
        assert broken["sent"] > 0


def test_commands_are_obeyed_during_a_transfer(tools: Tools) -> None:
    with tools.client("hold") as (client, port), tools.sender(port, "--rate", 8 * MIB) as sender:
        client.until("progress")
        client.tell("release")
        assert client.until("released")["held"] == 0
        assert sender.end()[0].event == "broken"
        assert client.process.stdin is not None
        client.process.stdin.close()
        done, status = client.end()
        assert (done.event, status) == ("done", 0)


def test_commands_that_cannot_be_read_are_no_end_of_them(tools: Tools) -> None:
    """As at a memory limit, where read() may fail: then the client has not been told to quit."""
    folder = os.open("/", os.O_RDONLY)
    try:
        argv = [str(tools.path / "zc-client"), "--behaviour", "hold", "--name", "t", "--port", "0"]
        done = subprocess.run(argv, stdin=folder, capture_output=True, text=True, timeout=60, check=False)
    finally:
        os.close(folder)
    last = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, last["event"]) == (1, "error")
    assert "cannot read a command: Is a directory" in last["message"]


def test_quit_before_anybody_connects(tools: Tools) -> None:
    last, status = tools.run("zc-client", "--behaviour", "map", "--name", "t", "--port", 0)
    assert (last.event, status) == ("done", 0)


def test_leave_writes_to_the_other_cgroup(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").touch()
    with tools.client("hold", "--cgroup", tmp_path) as (client, _):
        assert client.lines[0].text("cgroup") == str(tmp_path)
        client.tell(f"leave {tmp_path}")
        assert client.until("left").text("cgroup") == str(tmp_path)
        client.tell(f"leave {tmp_path / 'nowhere'}")
        last, status = client.end()
        assert (last.event, status) == ("error", 1)


def test_connections_that_another_process_accepts_are_handed_over(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").touch()
    both = ("--sockets", 3, "--bytes", 3 * MIB + 5, "--seed", 2)
    with (
        tools.client("hold", *both, "--verify", "--accept-in", tmp_path) as (client, port),
        tools.sender(port, *both) as sender,
    ):
        assert client.until("accepted")["sockets"] == 3
        assert (tmp_path / "cgroup.procs").read_text() == "0"  # the process that writes goes there: not this one
        client.until("holding")
        client.tell("quit")
        done, status = client.end()
        assert (status, done["mismatches"], done["delivered"]) == (0, 0, 3 * MIB + 5)
        assert sender.end()[0].text("hash") == done.text("hash")


def test_who_cannot_accept_elsewhere_says_so(tools: Tools, tmp_path: Path) -> None:
    with tools.client("hold", "--accept-in", tmp_path / "nowhere") as (client, _):
        last, status = client.end()
        assert (last.event, status) == ("error", 1)
        assert "accepts elsewhere" in last.text("message")


def test_ring_is_all_that_a_copying_client_keeps(tools: Tools) -> None:
    with tools.client("copy", "--ring", 65536, "--bytes", MIB) as (client, port), tools.sender(port, "--bytes", MIB):
        holding = client.until("holding")
        assert (holding["anon"], holding["held"], holding["delivered"]) == (65536, 65536, MIB)


def test_drop_takes_all_and_keeps_nothing(tools: Tools) -> None:
    both = ("--sockets", 2, "--bytes", 10 * MIB + 3)
    with tools.client("drop", *both) as (client, port), tools.sender(port, *both) as sender:
        holding = client.until("holding")
        assert holding["dropped"] == holding["delivered"] == 10 * MIB + 3
        assert holding["mapped"] == holding["copied"] == holding["held"] == 0
        assert sender.end()[0].event == "done"


def test_drop_sees_the_end_of_the_stream(tools: Tools) -> None:
    with tools.client("drop") as (client, port), tools.sender(port, "--bytes", MIB + 1):
        holding = client.until("holding")
        assert (holding.text("reason"), holding["dropped"]) == ("eof", MIB + 1)


def test_repeat_sends_one_buffer_over_and_over(tools: Tools) -> None:
    got, done, status = repeated(tools, "127.0.0.1")
    assert (done.event, done["sent"], status, "hash" in done.fields) == ("done", len(got), 0, False)
    assert got == (pattern(seed=3, socket=0, size=256 << 10) * 13)[: 3 * MIB + 5]


def test_repeat_sends_the_same_from_a_file_off_loopback(tools: Tools) -> None:
    own = own_address()
    if own is None:
        pytest.skip("no address but those of loopback")
    assert repeated(tools, own)[0] == repeated(tools, "127.0.0.1")[0]


def own_address() -> str | None:
    """An IPv4 address of this machine that is not of 127.0.0.0/8; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        own = str(probe.getsockname()[0])
    return None if own.startswith("127.") else own


def repeated(tools: Tools, address: str) -> tuple[bytes, Line, int]:
    """What a server there got from a repeating sender, and the sender's last line and status."""
    options = ("--bytes", 3 * MIB + 5, "--seed", 3, "--repeat")
    with socket.create_server((address, 0)) as server:
        port = server.getsockname()[1]
        with tools.sender(port, *options, to=address) as sender, server.accept()[0] as peer:
            got = b"".join(iter(lambda: peer.recv(MIB), b""))
            return got, *sender.end()


@pytest.mark.parametrize("rcvbuf", [None, 262144])
def test_slow_reports_a_full_queue(tools: Tools, rcvbuf: int | None) -> None:
    options = ("--rcvbuf", rcvbuf) if rcvbuf else ()
    with tools.client("slow", "--sockets", 2, *options) as (client, port), tools.sender(port, "--sockets", 2) as sender:
        holding = client.until("holding")
        assert holding.text("reason") == "full"
        assert holding["queued"] > 0
        assert holding["delivered"] == holding["held"] == 0
        client.tell("release", "quit")
        assert client.end()[1] == 0
        assert sender.end()[0].event == "broken"


def test_slow_is_complete_when_everything_is_queued(tools: Tools) -> None:
    with tools.client("slow", "--bytes", 5000) as (client, port), tools.sender(port, "--bytes", 5000):
        holding = client.until("holding")
        assert (holding.text("reason"), holding["queued"]) == ("complete", 5000)


@pytest.mark.parametrize("behaviour", ["copy", "hold", "pin-vmsplice", "pin-tee"])
def test_who_is_killed_has_said_what_it_kept_however_fast_it_went(tools: Tools, behaviour: str) -> None:
    """A MiB is worth a line, and no more than a chunk is taken before the next is looked at."""
    size = 96 * MIB
    with (
        tools.client(behaviour, "--bytes", size) as (client, port),
        tools.sender(port, "--bytes", size, "--repeat") as sender,
    ):
        client.until("holding")
        held = [line["held"] for line in client.lines if line.event in ("accepted", "progress", "holding")]
        assert sender.end()[1] == 0
    assert max(b - a for a, b in pairwise(held)) <= 2 * MIB


def test_rate_is_kept_by_absolute_time(tools: Tools) -> None:
    with tools.client("copy", "--bytes", MIB) as (client, port), tools.sender(port, "--bytes", MIB, "--rate", 4 * MIB):
        client.until("holding")
        times = [x.fields["t"] for x in client.lines if x.event in ("accepted", "holding")]
        assert isinstance(times[0], float)
        assert isinstance(times[1], float)
        assert 0.2 < times[1] - times[0] < 2


@pytest.mark.parametrize("flip", [None, 0, 4097, 65541])
def test_verify_finds_the_byte_that_differs(tools: Tools, flip: int | None) -> None:
    payload = bytearray(pattern(seed=3, socket=0, size=65542))
    if flip is not None:
        payload[flip] ^= 0x40
    options = ("--bytes", len(payload), "--seed", 3, "--verify")
    with tools.client("map", *options) as (client, port), socket.create_connection(("127.0.0.1", port)) as peer:
        for cut in range(0, len(payload), 9973):  # an odd size: every alignment comes up
            peer.sendall(payload[cut : cut + 9973])
        client.until("holding")
        client.tell("quit")
        done, _ = client.end()
    assert (done["mismatches"], done["first_mismatch"]) == ((0, -1) if flip is None else (1, flip))


def test_ipv6(tools: Tools) -> None:
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("no IPv6 here")
    with (
        tools.client("map", "--bytes", 9000) as (client, port),
        tools.sender(port, "--bytes", 9000, to="::1") as sender,
    ):
        assert client.until("holding")["delivered"] == 9000
        assert sender.end()[0].event == "done"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may lower oom_score_adj")
def test_the_oom_killer_may_take_the_client_and_not_its_children(tools: Tools) -> None:
    with tools.client("pin-fork", "--bytes", MIB) as (client, port), tools.sender(port, "--bytes", MIB):
        if not client.until("holding")["pinned"]:
            pytest.skip("nothing could be mapped on loopback here, so nothing was forked")
        me = client.process.pid
        children = Path(f"/proc/{me}/task/{me}/children").read_text().split()
        scores = [Path(f"/proc/{pid}/oom_score_adj").read_text().strip() for pid in (me, *children)]
    assert scores == ["0", *["-1000"] * len(children)]
    assert children


def test_nobody_listens(tools: Tools) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        last, status = tools.run("zc-sender", "--to", "127.0.0.1", "--port", unused.getsockname()[1])
    assert (last.event, status) == ("error", 1)
    assert "refused" in last.text("message")


def test_a_client_that_falls_back_counts_its_refusals(tools: Tools) -> None:
    with tools.client("hold-or-copy", "--bytes", MIB) as (client, port), tools.sender(port, "--bytes", MIB):
        holding = client.until("holding")
    assert (holding["refusals"], holding["refusal"]) == (0, 0)
    assert holding["delivered"] == MIB


def test_the_presser_takes_all_it_may_where_nothing_stalls(tools: Tools) -> None:
    argv = [str(tools.path / "lab-press"), "--bytes", "8M", "--until-stall"]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    ready, pressed = map(json.loads, done.stdout.splitlines())
    assert (ready["stalls"], pressed["event"]) == (0, "pressed")
    assert pressed["bytes"] == 8 * MIB or pressed["stalls"] > 0


def test_the_presser_keeps_what_it_took_until_its_input_ends(tools: Tools) -> None:
    argv = [str(tools.path / "lab-press"), "--bytes", "24M"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as presser:
        assert presser.stdout is not None
        said = [json.loads(presser.stdout.readline()) for _ in range(2)]
        status = Path(f"/proc/{presser.pid}/status").read_text()
        resident = next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("RssAnon"))
        score = Path(f"/proc/{presser.pid}/oom_score_adj").read_text().strip()
        presser.communicate()
    assert [(line["event"], line["bytes"]) for line in said] == [("ready", 24 * MIB), ("pressed", 24 * MIB)]
    assert resident >= 24 * MIB
    assert score == "1000"
    assert presser.returncode == 0
