# SPDX-License-Identifier: GPL-2.0-only
"""Kernel selftests that need more than kselftest's conventions: one row each, with the reason beside the row.

A test that is not in the table is run as run_kselftest.sh runs it: alone, without arguments, judged by the KTAP on its
standard output and by its exit status; those of drivers/net across a pair, in the environment that they ask for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

SELFTESTS = PurePosixPath("tools/testing/selftests")
TEST = "test.json"
"""What a selftest's bundle has beside that of any run: how it was run, its output, that of its peer."""
OUTPUT = "output.log"
PEER_OUTPUT = "peer.log"

RECORD = "selftest.json"
"""What it had in the place of a manifest, and of TEST, when selftests had a life of their own."""

LINK_DEV = "lab0"
"""The guests' name for their end of the link."""

TWO_ENDPOINTS = ("drivers/net", "drivers/net/hw")
DEFAULT_TIMEOUT = 45
"""kselftest_default_timeout of tools/testing/selftests/kselftest/runner.sh, seconds."""
EMULATION_FACTOR = 4
"""Time-outs of kselftest are meant for machines that are not emulated."""
UNLIMITED = 900
"""Seconds for a test whose settings say `timeout=0`."""

Proof = Literal["ktap", "numbers"]


@dataclass(frozen=True)
class Need:
    """What a guest must have: `probe` is a shell command that succeeds where it has it; options of the kernel."""

    what: str
    probe: str
    options: str


@dataclass(frozen=True)
class Expect:
    """What the output of a test without KTAP must say.

    count   how often `pattern` must be found, at least
    least   the least value of each number that the pattern catches; None: the floor of the NIC profile, in percent
    """

    pattern: str
    count: int
    meaning: str
    least: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Selftest:
    """How one test is run and what proves that it passed.

    name      directory and program below tools/testing/selftests
    pair      needs a second machine
    argv      in the test's directory; empty: the program alone. `{receiver}` and `{sender}` are IPv4 addresses
    peer      runs in the sender meanwhile, once the receiver listens on `port`; the test is over when it ends
    peer_end  exit status of a peer that did its part
    programs  built besides what the test itself names
    expects   what proves it, where it prints no KTAP
    excuse    (pattern, why): output after which a failure is the test's own doing, not the kernel's
    cases     (file, pattern): its cases as the source lists them, for a test that announces no plan
    listed    it is a row of the table: then `needs`, not its directory's `config`, says which options it wants
    disk      is run on a file system whose page cache can be reclaimed; the guests' own is tmpfs
    seconds   deadline
    """

    name: str
    reason: str
    pair: bool = False
    argv: tuple[str, ...] = ()
    peer: tuple[str, ...] = ()
    peer_end: int = 0
    port: int = 0
    programs: tuple[str, ...] = ()
    expects: tuple[Expect, ...] = ()
    excuse: tuple[str, str] | None = None
    cases: tuple[str, str] | None = None
    disk: bool = False
    listed: bool = True
    needs: tuple[Need, ...] = ()
    seconds: int = DEFAULT_TIMEOUT * EMULATION_FACTOR

    @property
    def directory(self) -> str:
        return str(PurePosixPath(self.name).parent)

    @property
    def program(self) -> str:
        return PurePosixPath(self.name).name

    @property
    def proof(self) -> Proof:
        return "numbers" if self.expects else "ktap"

    @property
    def id(self) -> str:
        """As a folder's name."""
        return self.name.replace("/", ".")


LOOP = Need("loop devices", "test -e /dev/loop-control", "CONFIG_BLK_DEV_LOOP")
EXT2 = Need("ext2", "grep -qw ext2 /proc/filesystems", "CONFIG_EXT2_FS")
VETH = Need(
    "network namespaces and veth",
    "ip netns add probe && ip link add p0 type veth peer p1 && ip link del p0 && ip netns del probe",
    "CONFIG_NET_NS, CONFIG_VETH",
)
RPS = Need("receive queues in sysfs", f"test -e /sys/class/net/{LINK_DEV}/queues/rx-0", "CONFIG_RPS")
MEMCG = Need("a memory controller", "grep -qw memory /sys/fs/cgroup/cgroup.controllers", "CONFIG_MEMCG")

STREAM_SECONDS = 20

SELFTEST_ROWS: dict[str, Selftest] = {
    row.name: row
    for row in (
        Selftest(
            "net/tcp_mmap",
            "a benchmark in two processes: its server never ends and its client sends 32 GiB, minutes under emulation. "
            "The client is ended by time, and the server then says what it has received. Its check sum (-i) covers "
            "all 32 GiB or nothing",
            pair=True,
            argv=("./tcp_mmap", "-4", "-s", "-z"),
            peer=("timeout", str(STREAM_SECONDS), "./tcp_mmap", "-4", "-z", "-H", "{receiver}"),
            peer_end=124,
            port=8787,
            programs=("tcp_mmap",),
            expects=(
                Expect(
                    r"received (\S+) MB \((\S+) % mmap'ed\)",
                    1,
                    "MB received, per cent of them mapped",
                    (64.0, None),
                ),
            ),
            seconds=120,
        ),
        Selftest(
            "net/msg_zerocopy.sh",
            "no KTAP; the script waits for its receivers but never asks for their exit status, so success is that each "
            "of its eight transfers (IPv4 and IPv6, TCP and UDP, copied and zerocopy) says at both ends what it moved",
            programs=("msg_zerocopy",),
            expects=(
                Expect(r"^tx=(\d+) \(\d+ MB\) txc=0 ", 4, "packets sent by copying", (1,)),
                Expect(r"^tx=(\d+) \(\d+ MB\) txc=([1-9]\d*) ", 4, "packets sent by zerocopy, completions", (1, 1)),
                Expect(r"^rx=(\d+) ", 8, "packets received", (1,)),
                Expect(r"^OK\. All tests passed", 1, "the script's own last word"),
            ),
            excuse=(
                r": Connection refused\s*$",
                "the script starts sender and receiver by sleep(1) and ends both by time, so on a busy host one misses "
                "the other",
            ),
            needs=(VETH,),
            seconds=240,
        ),
        Selftest(
            "cgroup/test_memcontrol",
            "announces no plan on 6.12, so its cases are read from the source. It fills page cache and has it "
            "reclaimed: on tmpfs without swap nothing can be, and memory.low, memory.min and memory.reclaim would seem "
            "broken",
            cases=("test_memcontrol.c", r"^\s*T\((test_\w+)\),"),
            disk=True,
            needs=(MEMCG, LOOP, EXT2),
            seconds=600,
        ),
        Selftest(
            "drivers/net/ping.py",
            "needs no more than the link: the directory's options for netdevsim and netconsole are not its own",
            pair=True,
        ),
        Selftest(
            "drivers/net/queues.py",
            "compares netlink with the receive queues in sysfs, which only RPS makes; its directory asks for none",
            pair=True,
            needs=(RPS,),
        ),
    )
}


def needs_pair(name: str) -> bool:
    """Whether a test that is in no row wants a second machine."""
    return str(PurePosixPath(name).parent) in TWO_ENDPOINTS


def deadline_of(settings_timeout: int | None) -> int:
    """Seconds for a test that is in no row; `settings_timeout` is what its directory's `settings` file says."""
    if settings_timeout == 0:
        return UNLIMITED
    return (settings_timeout or DEFAULT_TIMEOUT) * EMULATION_FACTOR


def row_for(name: str, settings_timeout: int | None) -> Selftest:
    """The row of a test, or what kselftest's conventions make of it."""
    row = SELFTEST_ROWS.get(name)
    if row is not None:
        return row
    seconds = deadline_of(settings_timeout)
    return Selftest(name, "kselftest's conventions", pair=needs_pair(name), listed=False, seconds=seconds)
