# SPDX-License-Identifier: GPL-2.0-only
"""The programs of this experiment: zc-client in the receiver, which is under test, and zc-sender, which feeds it."""

from __future__ import annotations

from pathlib import Path

from lab.plan.case import ClientSpec, Counter, Preflight, Traffic
from lab.plan.commands import LAYER, cgroup_of
from lab.units import MIB
from suites.rx_zerocopy.clients import Behaviour


def client_argv(client: ClientSpec, port: int, seed: int) -> tuple[str, ...]:
    """argv of zc-client; it is a server on `port`."""
    argv = [f"{LAYER}/zc-client", "--behaviour", client.behaviour, "--name", client.name, "--port", str(port)]
    argv += ["--sockets", str(client.sockets), "--bytes", str(client.deliver), "--cgroup", cgroup_of(client.path)]
    if client.accepts_in:
        argv += ["--accept-in", cgroup_of(client.accepts_in.path)]
    if client.shares_in:
        argv += ["--share-in", cgroup_of(client.shares_in.path)]
    if client.races_in:
        argv += ["--race-in", cgroup_of(client.races_in.path)]
    if client.ring:
        argv += ["--ring", str(client.ring)]
    if client.rcvbuf:
        argv += ["--rcvbuf", str(client.rcvbuf)]
    if client.leave:
        argv += ["--leave", str(client.leave)]
    if client.most:
        argv += ["--most", str(client.most)]
    if client.unkillable:
        argv += ["--unkillable"]
    if client.verify:
        argv += ["--seed", str(seed), "--verify"]
    return tuple(argv)


def sender_argv(client: ClientSpec, address: str, port: int, seed: int, mss: int = 0) -> tuple[str, ...]:
    """argv of the zc-sender that feeds this client; mss is that of the NIC profile."""
    argv = [f"{LAYER}/zc-sender", "--to", address, "--port", str(port), "--sockets", str(client.sockets)]
    argv += ["--bytes", str(client.deliver), "--seed", str(seed)]
    if not client.verify:
        argv += ["--repeat"]  # who does not look at the bytes need not wait until they are made
    if client.rate:
        argv += ["--rate", str(client.rate)]
    if client.urgent:
        argv += ["--urgent", str(client.urgent)]
    if mss:
        argv += ["--mss", str(mss)]
    return tuple(argv)


TRAFFIC = Traffic(
    tested="receiver",
    client=client_argv,
    peer=sender_argv,
    preflight=Preflight(
        ClientSpec("preflight", Behaviour.MAP, None, 6 * MIB),
        part=Counter("mapped"),
        whole=Counter("delivered"),
        floor=lambda nic: nic.floor,
        possible=lambda nic, release: nic.maps_on(release),
        shown="could be mapped",
    ),
    counters=frozenset(
        map(
            Counter,
            (
                *("delivered", "mapped", "copied", "mapped_now", "pinned", "anon", "queued", "distinct", "held"),
                *("resident", "partner", "fallback", "straggled", "hinted", "peeked", "urgent"),
                *("unmapped", "forked", "passed", "limited"),
            ),
        )
    ),
    programs=Path(__file__).with_name("guest"),
)
