# SPDX-License-Identifier: GPL-2.0-only
"""How a selftest is started in a guest."""

from __future__ import annotations

import pytest

from lab.plan.names import LinkAddress, Role
from suites.selftests.commands import command_in_guest, endpoint_environment, lacking
from suites.selftests.table import SELFTEST_ROWS, deadline_of, needs_pair, row_for

ADDRESSES: dict[Role, LinkAddress] = {
    "receiver": LinkAddress("198.18.7.1", "fd::1"),
    "sender": LinkAddress("198.18.7.2", "fd::2"),
}
PLACE = "/tmp/selftests/tools/testing/selftests"


def test_tests_of_drivers_net_get_the_standard_environment() -> None:
    assert endpoint_environment(ADDRESSES, "lab0") == {
        "NETIF": "lab0",
        "LOCAL_V4": "198.18.7.1",
        "LOCAL_V6": "fd::1",
        "REMOTE_V4": "198.18.7.2",
        "REMOTE_V6": "fd::2",
        "REMOTE_TYPE": "ssh",
        "REMOTE_ARGS": "root@198.18.7.2",
    }


def test_a_test_runs_in_its_own_directory_as_the_program_that_it_is() -> None:
    argv = command_in_guest(row_for("net/x.sh", None), (), {"NETIF": "lab0"}, ADDRESSES)
    assert argv[0] == "env"
    assert "NETIF=lab0" in argv
    assert argv[-2:] == (f"{PLACE}/net", "./x.sh")


def test_rows_say_where_and_with_what() -> None:
    peer = command_in_guest(SELFTEST_ROWS["net/tcp_mmap"], SELFTEST_ROWS["net/tcp_mmap"].peer, {}, ADDRESSES)
    assert peer[-2:] == ("-H", "198.18.7.1")
    on_disk = command_in_guest(SELFTEST_ROWS["cgroup/test_memcontrol"], (), {}, ADDRESSES)
    assert on_disk[-2:] == ("/tmp/disk", f"{PLACE}/cgroup/test_memcontrol")


@pytest.mark.parametrize(
    ("name", "pair"),
    [("drivers/net/x.py", True), ("drivers/net/hw/x.py", True), ("drivers/net/bonding/x.sh", False), ("net/x", False)],
)
def test_which_tests_want_two_machines(name: str, pair: bool) -> None:
    assert needs_pair(name) is row_for(name, None).pair is pair


@pytest.mark.parametrize(("settings", "seconds"), [(None, 180), (10, 40), (0, 900)])
def test_deadlines_of_settings_are_for_machines_that_are_not_emulated(settings: int | None, seconds: int) -> None:
    assert deadline_of(settings) == seconds


def test_options_that_are_modules_or_not_known_are_lacking() -> None:
    assert lacking("CONFIG_A=y\nCONFIG_B=m\n", "CONFIG_A=y\nCONFIG_B=m\n") == ("CONFIG_B",)
    assert lacking("CONFIG_A=y\n# CONFIG_C is not set\n", "") == ("CONFIG_A",)
