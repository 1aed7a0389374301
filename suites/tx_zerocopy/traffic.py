# SPDX-License-Identifier: GPL-2.0-only
"""The programs of this experiment: tx-client in the sender, which is under test, and tx-peer in the receiver."""

from __future__ import annotations

from lab.plan.case import ClientSpec, Counter, Preflight, Traffic
from lab.plan.commands import BIN, cgroup_of
from lab.units import MIB
from suites.tx_zerocopy.clients import COMPLETED, UNCOPIED, Behaviour, Sending


def client_argv(client: ClientSpec, port: int, seed: int) -> tuple[str, ...]:
    """argv of tx-client; it is a server on `port`."""
    argv = [f"{BIN}/tx-client", "--behaviour", client.behaviour, "--name", client.name, "--port", str(port)]
    argv += ["--sockets", str(client.sockets), "--bytes", str(client.deliver), "--cgroup", cgroup_of(client.name)]
    if client.verify:
        argv += ["--seed", str(seed), "--verify"]
    if isinstance(client, Sending) and client.sndbuf:
        argv += ["--sndbuf", str(client.sndbuf)]
    if isinstance(client, Sending) and client.memlock:
        argv += ["--memlock", str(client.memlock)]
    return tuple(argv)


def peer_argv(client: ClientSpec, address: str, port: int, seed: int) -> tuple[str, ...]:
    """argv of the tx-peer that takes what this client sends."""
    argv = [f"{BIN}/tx-peer", "--to", address, "--port", str(port), "--sockets", str(client.sockets)]
    argv += ["--bytes", str(client.deliver)]
    if client.verify:
        argv += ["--seed", str(seed), "--verify"]
    if isinstance(client, Sending) and client.waits:
        argv += ["--waits"]
    if isinstance(client, Sending) and client.window:
        argv += ["--rcvbuf", str(client.window)]
    return tuple(argv)


FLOOR = 0.9
"""Share of what is sent by MSG_ZEROCOPY that must go without a copy. Between two guests all of it does."""

COUNTERS = (
    *("sent", "zerocopied", "completed", "copied", "uncopied", "unacked", "anon", "queued", "held"),
    *("sends", "notified", "twice", "unknown", "early", "refusals", "received"),
)

TRAFFIC = Traffic(
    tested="sender",
    client=client_argv,
    peer=peer_argv,
    preflight=Preflight(
        Sending("preflight", Behaviour.RING, None, 6 * MIB),
        part=UNCOPIED,
        whole=COMPLETED,
        floor=lambda _: FLOOR,
        # What is looped to a local socket is copied: skb_orphan_frags_rx() of include/linux/skbuff.h.
        possible=lambda nic: nic.link != "none",
        shown="was sent without a copy",
    ),
    counters=frozenset(map(Counter, COUNTERS)),
)
