# SPDX-License-Identifier: GPL-2.0-only
"""What lab-init sets in a guest that boots, made here on a real device in a network namespace of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lab.plan.commands import all_settings
from lab.plan.names import link_address
from lab.plan.nics import NICS

SOURCES = Path(__file__).parents[3] / "images" / "guest"

# ETHTOOL_GTSO, GGSO and GGRO of include/uapi/linux/ethtool.h; SIOCETHTOOL is 0x8946
LOOK = """
import fcntl, json, socket, struct, subprocess, sys
made = subprocess.run(sys.argv[1:], text=True, capture_output=True)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def feature(get):
    value = bytearray(struct.pack("II", get, 0))
    import ctypes
    held = (ctypes.c_char * 8).from_buffer(value)
    fcntl.ioctl(s, 0x8946, struct.pack("16sP16x", b"lab0", ctypes.addressof(held)))
    return struct.unpack("II", value)[1]
link = json.loads(subprocess.run(["ip", "-j", "address", "show", "lab0"], capture_output=True, check=True).stdout)[0]
print(json.dumps({
    "status": made.returncode, "said": made.stderr, "told": made.stdout.splitlines(), "mtu": link["mtu"],
    "up": "UP" in link["flags"], "addresses": [f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"]],
    "tentative": [a["local"] for a in link["addr_info"] if a.get("tentative")],
    "features": {"tso": feature(0x1E), "gso": feature(0x23), "gro": feature(0x2B)},
    "rmem": open("/proc/sys/net/ipv4/tcp_rmem").read().split(),
}))
"""
SETUP = 'ip link add lab0 type veth peer name peer && ip link set peer up && exec python3 -c "$0" "$@"'


@pytest.fixture(scope="module")
def settle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("settle") / "settle"
    sources = [Path(__file__).with_name("settle.c"), SOURCES / "lab-init-settle.c", SOURCES / "lab-init-net.c"]
    flags = ["-Wall", "-Wextra", "-Werror", "-std=gnu11", "-Wl,--wrap=ioctl", f"-I{SOURCES}"]
    subprocess.run(["gcc", *flags, "-o", str(program), *map(str, sources)], check=True, capture_output=True)
    return program


def made(settle: Path, *settings: str, decaf: bool = False) -> dict[str, Any]:
    """What the device is like after these settings, and what was said of them."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    argv = ["unshare", *user, "--net", "--", "sh", "-c", SETUP, LOOK, str(settle)]
    environment = {**os.environ, **({"DECAF": "1"} if decaf else {})}
    text = "".join(f"{setting}\n" for setting in settings)
    done = subprocess.run(argv, input=text, text=True, capture_output=True, check=False, env=environment)
    if "Operation not permitted" in done.stderr:
        pytest.skip(f"no network namespace can be made here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def settled(state: dict[str, Any]) -> int:
    """How many settings it counts."""
    (line,) = state["told"]
    count = json.loads(line)["settings"]
    assert isinstance(count, int)
    return count


def test_a_profile_and_its_addresses_are_in_force(settle: Path) -> None:
    link = link_address("x", "sender")
    settings = all_settings(("sysctl net/ipv4/tcp_rmem 4096 131072 6291456", "mtu 4148", "off tso", "off gso"), link)
    state = made(settle, *settings)
    assert (state["status"], settled(state), state["said"]) == (0, len(settings), "")
    assert (state["mtu"], state["up"], state["rmem"]) == (4148, True, ["4096", "131072", "6291456"])
    assert (state["features"]["tso"], state["features"]["gso"]) == (0, 0)
    assert {f"{link.v4}/24", f"{link.v6}/64"} <= set(state["addresses"])
    # the kernel's own link-local address is made when the link comes up, and may be so for a moment; nobody uses it
    assert [address for address in state["tentative"] if not address.startswith("fe80:")] == []


def test_what_nobody_switched_off_is_on(settle: Path) -> None:
    """Otherwise the test above would show nothing."""
    state = made(settle, "mtu 1500")
    assert (state["features"]["tso"], state["features"]["gso"]) == (1, 1)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("off tso", "tso of lab0 stays on: the driver keeps it"),
        ("off gso", "gso of lab0 stays on: the driver keeps it"),
        ("mtu 4148", "lab0 has an MTU of 1500, not 4148"),
    ],
)
def test_a_driver_that_says_yes_and_does_nothing_is_found(settle: Path, setting: str, words: str) -> None:
    state = made(settle, setting, "up", decaf=True)
    assert (state["status"], settled(state)) == (1, 1)
    assert words in state["said"]
    assert f"this setting is not in force: {setting}" in state["said"]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("mtu 1", "lab0 takes no MTU of 1"),
        ("off lro-of-tomorrow", "there is no feature lro-of-tomorrow"),
        ("sysctl net/ipv4/no_such_thing 1", "/proc/sys/net/ipv4/no_such_thing"),
        ("sysctl net/ipv4/tcp_rmem many", "cannot write many"),
        ("sysctl net/ipv4/tcp_rmem", "this setting is not in force"),
        ("address 300.1.1.1 fd00::1", "cannot set address 300.1.1.1"),
        ("address 198.18.0.1", "this setting is not in force"),
        ("down", "not a setting"),
    ],
)
def test_a_setting_that_cannot_be_made_is_told_and_not_counted(settle: Path, setting: str, words: str) -> None:
    state = made(settle, setting, "up")
    assert (state["status"], settled(state)) == (1, 1)
    assert words in state["said"]


@pytest.mark.parametrize("nic", NICS)
def test_every_offload_of_a_profile_is_one_that_init_knows(settle: Path, nic: str) -> None:
    features = {*NICS[nic].sender_off, *NICS[nic].receiver_off}
    state = made(settle, *(f"off {feature}" for feature in sorted(features)))
    assert (state["status"], settled(state), state["said"]) == (0, len(features), "")
