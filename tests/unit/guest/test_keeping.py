# SPDX-License-Identifier: GPL-2.0-only
"""What zc-client keeps, cuts, leaves to others and lets go, with or without root and mappable pages."""

from __future__ import annotations

import errno
import os
import re
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from lab.units import Deadline, wait_until
from tests.unit.guest.programs import Tools, check_counters

MIB = 1 << 20


def test_what_is_left_in_each_socket_stays_queued(tools: Tools) -> None:
    both = ("--sockets", 3, "--bytes", 3 * 65536)
    with tools.client("hold", *both, "--leave", 4096) as (client, port), tools.sender(port, *both) as sender:
        holding = client.until("holding")
        check_counters(holding)
        assert (holding.text("reason"), holding["queued"]) == ("complete", 3 * 4096)
        assert holding["delivered"] == 3 * (65536 - 4096)
        client.tell("release", "quit")
        assert client.end()[1] == 0
        assert sender.end()[1] == 0


@pytest.mark.parametrize("behaviour", ["hold", "hold-or-copy"])
def test_an_unkillable_client_keeps_in_windows_of_its_own_page_tables(tools: Tools, behaviour: str) -> None:
    size = 5 * MIB
    both = ("--sockets", 1, "--bytes", size, "--seed", 3)
    with (
        tools.client(behaviour, *both, "--unkillable", "--verify") as (client, port),
        tools.sender(port, *both) as sender,
    ):
        holding = client.until("holding")
        check_counters(holding)
        assert (holding.text("reason"), holding["delivered"]) == ("complete", size)
        client.tell("smaps", "quit")
        assert client.until("smaps")["resident"] == holding["mapped_now"]
        done, status = client.end()
        assert (status, done["mismatches"]) == (0, 0)
        assert sender.end()[0].text("hash") == done.text("hash")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees page frames to take notes of")
def test_an_unkillable_client_has_room_for_its_notes_of_page_frames_before_it_needs_it(tools: Tools) -> None:
    def notes(*options: str) -> int:
        """KiB in memory of the one area of 32 MiB, a bit for each page frame."""
        with tools.client("hold", "--bytes", MIB, *options) as (client, _):
            smaps = Path(f"/proc/{client.process.pid}/smaps").read_text()
        (rss,) = re.findall(r"^Size: +32768 kB\n(?:\w+: .*\n)*?Rss: +(\d+) kB", smaps, re.MULTILINE)
        return int(rss)

    assert notes() == 0
    assert notes("--unkillable") * 1024 * 8 >= os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize("behaviour", ["map-over", "map-over-no-hint"])
def test_what_is_mapped_over_is_held_once_and_compared_each_time(tools: Tools, behaviour: str) -> None:
    both = ("--bytes", 48 * MIB, "--seed", 5)
    with tools.client(behaviour, *both, "--verify") as (client, port), tools.sender(port, *both) as sender:
        holding = client.until("holding")
        check_counters(holding)
        client.tell("smaps", "quit")
        assert client.until("smaps")["resident"] == holding["mapped_now"] <= 16 * MIB
        done, _ = client.end()
        assert (done["mismatches"], done["delivered"]) == (0, 48 * MIB)
        assert sender.end()[0].text("hash") == done.text("hash")


def test_smaps_agree_with_what_is_mapped(tools: Tools) -> None:
    with tools.client("hold", "--bytes", MIB) as (client, port), tools.sender(port, "--bytes", MIB):
        client.until("holding")
        client.tell("smaps")
        told = client.until("smaps")
        assert told["resident"] == told["mapped_now"]


def test_a_client_that_grows_tells_each_mib_before_it_takes_it(tools: Tools) -> None:
    with tools.client("hold", "--bytes", MIB) as (client, port), tools.sender(port, "--bytes", MIB):
        client.until("holding")
        client.tell(f"grow {3 * MIB}")
        assert [client.until("progress")["anon"] for _ in range(3)] == [0, MIB, 2 * MIB]
        assert client.until("grown")["anon"] == 3 * MIB


def test_growing_by_no_number_is_an_error(tools: Tools) -> None:
    with tools.client("hold", "--bytes", MIB) as (client, port), tools.sender(port, "--bytes", MIB):
        client.until("holding")
        client.tell("grow much")
        told, status = client.end()
        assert (told.text("event"), status) == ("error", 1)


def test_what_is_cut_is_gone_and_what_is_moved_or_protected_is_not(tools: Tools) -> None:
    with tools.client("hold", "--bytes", 8 * MIB) as (client, port), tools.sender(port, "--bytes", 8 * MIB):
        holding = client.until("holding")
        before, part = holding["mapped_now"], holding["mapped_now"] // 8 & ~4095
        for how in ("unmap", "drop", "cover", "move", "protect"):
            client.tell(f"cut {how}")
            told = client.until("cut")
            check_counters(told)
            if not part:  # no page of the loopback can be mapped here
                assert (told["errno"], told.text("call")) == (errno.EINVAL, how)
                continue
            assert told.text("how") == how
            assert "errno" not in told.fields
            assert told["resident"] == told["mapped_now"] == before - part * (how in ("unmap", "drop", "cover"))
            before = told["mapped_now"]
        client.tell("release", "quit")
        assert client.until("released")["held"] == 0
        assert client.end()[1] == 0
        client.process.wait()


def test_an_heir_outlives_the_client(tools: Tools) -> None:
    with tools.client("hold", "--bytes", MIB) as (client, port), tools.sender(port, "--bytes", MIB):
        client.until("holding")
        pid = client.process.pid
        client.tell("heir")
        client.until("heir")
        (heir,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        client.tell("quit")
        assert client.end()[1] == 0
        assert _is_alive(heir)
        os.kill(int(heir), signal.SIGKILL)


def test_two_share_a_socket_and_one_of_them_lives_on_after_execve(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").touch()
    with (
        tools.client("hold", "--bytes", 8 * MIB, "--share-in", tmp_path) as (client, port),
        tools.sender(port, "--bytes", 8 * MIB),
    ):
        holding = client.until("holding")
        check_counters(holding)
        assert (holding.text("reason"), holding["delivered"]) == ("complete", 8 * MIB)
        assert holding["held"] - holding["partner"] == holding["mapped_now"]
        pid = client.process.pid
        (partner,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert (tmp_path / "cgroup.procs").read_text() == "0"
        client.tell("exec")
        assert client.until("execed")["partner"] == 0
        assert Path(f"/proc/{partner}/cmdline").read_bytes() == b"zc-client\0--idle\0"
        client.tell("release")
        client.until("released")
        assert not _is_alive(partner)


@pytest.mark.parametrize("options", [("--sockets", 2), ("--verify",)])
def test_what_cannot_be_shared_is_said(tools: Tools, options: tuple[object, ...]) -> None:
    with tools.start(
        "zc-client", "--behaviour", "hold", "--name", "t", "--port", 0, "--share-in", "/", *options
    ) as client:
        told, status = client.end()
        assert (told.text("event"), status) == ("error", 2)


def test_every_byte_comes_once_whatever_buffer_is_offered_and_the_urgent_one_beside_them(tools: Tools) -> None:
    both = ("--sockets", 2, "--bytes", 8 * MIB, "--seed", 5)
    with (
        tools.client("copybuf", *both, "--verify") as (client, port),
        tools.sender(port, *both, "--urgent", MIB + 1234, "--rate", 32 * MIB) as sender,
    ):
        holding = client.until("holding")
        check_counters(holding)
        assert 0 < holding["fallback"] + holding["straggled"] + holding["hinted"] <= holding["copied"]
        assert holding["peeked"] > 0
        client.tell("quit")
        done, _ = client.end()
        assert (done["mismatches"], done["delivered"], done["urgent"]) == (0, 8 * MIB, 2)
        sent, _ = sender.end()
        assert (sent.text("hash"), sent["urgent"]) == (done.text("hash"), 2)


def test_a_byte_out_of_band_lies_within_each_stream(tools: Tools) -> None:
    told, status = tools.run("zc-sender", "--to", "127.0.0.1", "--port", 1, "--sockets", 2, "--bytes", 8, "--urgent", 4)
    assert (told.text("event"), status) == ("error", 2)


def test_a_cut_that_there_is_not_is_an_unknown_command(tools: Tools) -> None:
    with tools.client("hold") as (client, _):
        client.tell("cut nonsense")
        assert client.end()[1] == 1


def test_an_io_uring_that_takes_no_mapped_page_is_told_by_its_call(tools: Tools) -> None:
    with tools.client("pin-uring", "--bytes", MIB) as (client, port), tools.sender(port, "--bytes", MIB):
        holding = client.until("holding")
        assert holding["pinned"] in (0, holding["mapped"])
        if holding["mapped"] and not holding["pinned"]:
            assert holding.text("call") in ("io_uring", "IORING_REGISTER_BUFFERS_UPDATE")


def test_children_that_keep_a_mapping_die_with_their_parent(tools: Tools) -> None:
    with tools.client("pin-fork", "--bytes", MIB) as (client, port), tools.sender(port, "--bytes", MIB):
        client.until("holding")
        pid = client.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        client.process.kill()
        client.process.wait()
        deadline = Deadline.after("the children's end", timedelta(seconds=10))
        wait_until(lambda: (not any(_is_alive(c) for c in children) or None, children), deadline=deadline)


def _is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
