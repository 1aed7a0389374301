# SPDX-License-Identifier: GPL-2.0-only
"""What lab-telemetry makes of the kernel's answers about page pools, byte by byte as netlink has them."""

from __future__ import annotations

import errno
import json
import socket
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lab.host.paths import project_root

MAIN = """
#include "lab-pools.c"
int main(void)
{
	static char line[128 << 10];
	struct json j;

	json_start(&j, line, sizeof(line), NULL);
	pools_by(0, &j);
	json_finish(&j);
	return json_emit(&j) ? 0 : 1;
}
"""
ERROR, DONE, CONTROL = 2, 3, 16
FAMILY = 20
GET, STATS = 5, 9
EVERY = range(8, 19)
"""Attributes of page-pool-stats-get; 8 is alloc-fast, 18 recycle-released-refcnt."""


def attr(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def number(kind: int, value: int) -> bytes:
    """As nla_put_uint() has it: 64 bits only where they are needed."""
    return attr(kind, struct.pack("=I", value) if value < 1 << 32 else struct.pack("=Q", value))


def message(kind: int, payload: bytes) -> bytes:
    """Without NLM_F_MULTI, which this family's dumps lack."""
    return struct.pack("=IHHII", 16 + len(payload), kind, 0, 0, 1) + payload


def row(command: int, *attrs: bytes) -> bytes:
    return message(FAMILY, struct.pack("=BBH", command, 1, 0) + b"".join(attrs))


def pool(number_of_it: int, ifindex: int = 1, **numbers: int) -> bytes:
    rest = [number(kind, numbers[key]) for kind, key in ((3, "napi_id"), (4, "inflight"), (5, "inflight_mem"))]
    return row(GET, number(1, number_of_it), number(2, ifindex), *rest)


def stats(number_of_it: int, values: Sequence[int]) -> bytes:
    told = [number(kind, value) for kind, value in zip(EVERY, values, strict=True)]
    return row(STATS, attr(1 | 0x8000, number(1, number_of_it)), *told)


def end(status: int = 0, kind: int = DONE) -> bytes:
    return message(kind, struct.pack("=i", status))


FOUND = message(CONTROL, struct.pack("=BBH", 1, 2, 0) + attr(2, b"netdev\0") + attr(1, struct.pack("=H", FAMILY)))
POOL = {"napi_id": 513, "inflight": 300, "inflight_mem": 300 * 4096}


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pools")
    (folder / "main.c").write_text(MAIN)
    guest = project_root() / "images" / "guest"
    sources = [folder / "main.c", guest / "lib" / "labjson.c", guest / "lib" / "guestproc.c"]
    argv = ["gcc", "-fsanitize=address,undefined", "-fno-sanitize-recover", "-Wno-unused", f"-I{guest}"]
    subprocess.run([*argv, f"-I{guest / 'lib'}", "-o", str(folder / "read"), *map(str, sources)], check=True)
    return folder / "read"


def told(reader: Path, *answers: bytes) -> dict[str, Any]:
    """What is written when the kernel answers so; and what it was asked comes first."""
    kernel, telemetry = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with kernel, telemetry:
        for answer in answers:
            kernel.send(answer)
        done = subprocess.run([reader], stdin=telemetry.fileno(), capture_output=True, check=True, timeout=60)
        asked = kernel.recv(4096)
    assert asked[16:].startswith(b"\x03\x01\0\0\x0b\0\x02\0netdev\0")
    line: dict[str, Any] = json.loads(done.stdout)
    del line["t"]
    return line


def test_both_dumps_become_the_pools_of_a_checkpoint(reader: Path) -> None:
    values = [1 << 40, *range(1, 11)]
    line = told(reader, FOUND, pool(7, **POOL) + pool(8, 4096, **POOL), end(), stats(7, values), end())
    counts = line["pools"]["7"]["counts"]
    assert line["pools"]["7"]["netdev"] == "lo"  # the first interface of every machine
    assert (counts["ifindex"], counts["napi_id"], counts["inflight"], counts["inflight_mem"]) == (1, 513, 300, 1228800)
    assert (counts["alloc_fast"], counts["recycle_ring"], counts["recycle_released_refcnt"]) == (1 << 40, 8, 10)
    assert len(counts) == 4 + len(EVERY)
    assert line["pools"]["8"].keys() == {"counts"}  # whose device has gone, and without statistics
    assert len(line["pools"]["8"]["counts"]) == 4


def test_a_kernel_without_statistics_tells_the_rest(reader: Path) -> None:
    line = told(reader, FOUND, pool(7, **POOL), end(), end(-errno.EOPNOTSUPP, ERROR))
    assert line["pools"]["7"]["counts"].keys() == {"ifindex", "napi_id", "inflight", "inflight_mem"}


def test_a_device_without_a_pool_is_none(reader: Path) -> None:
    assert told(reader, FOUND, end(), end()) == {"pools": {}}


@pytest.mark.parametrize(
    "answers",
    [
        (end(-errno.ENOENT, ERROR),),  # 6.1: no family of that name
        (FOUND, end(-errno.EOPNOTSUPP, ERROR)),  # 6.3 to 6.7: no such dump
        (FOUND, pool(7, **POOL), end(-errno.EMSGSIZE)),  # which broke off
        (FOUND, pool(7, **POOL)),
        (),
    ],
)
def test_a_kernel_that_has_no_such_dump_is_nothing_to_tell(reader: Path, answers: tuple[bytes, ...]) -> None:
    assert told(reader, *answers) == {}


def test_what_has_no_room_is_counted(reader: Path) -> None:
    many = [pool(number_of_it, **POOL) for number_of_it in range(1, 71)]
    line = told(reader, FOUND, b"".join(many[:40]), b"".join(many[40:]), end(), end())
    assert (len(line["pools"]), line["pools_left_out"]) == (64, 6)


@pytest.mark.parametrize("cut", range(4, 60, 4))
def test_an_answer_that_is_cut_does_no_harm(reader: Path, cut: int) -> None:
    whole = pool(7, **POOL)
    short = struct.pack("=I", cut) + whole[4:cut]
    line = told(reader, FOUND, short, end(), stats(7, [0] * 11)[:cut], end())
    assert all(len(found["counts"]) <= 4 for found in line.get("pools", {}).values())


def test_attributes_that_lie_about_their_length_do_no_harm(reader: Path) -> None:
    liar = struct.pack("=HH", 60000, 4)
    line = told(reader, FOUND, row(GET, number(1, 7), liar) + row(GET, number(1, 8), attr(4, b"")), end(), end())
    assert line["pools"] == {"7": {"counts": {}}, "8": {"counts": {"inflight": 0}}}


def test_no_number_is_more_than_a_line_can_say(reader: Path) -> None:
    line = told(reader, FOUND, row(GET, number(1, 7), number(4, (1 << 64) - 1)), end(), end())
    assert line["pools"]["7"]["counts"] == {"inflight": (1 << 63) - 1}
