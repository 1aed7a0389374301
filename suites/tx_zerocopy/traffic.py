# SPDX-License-Identifier: GPL-2.0-only
"""The programs of this experiment: tx-client in the sender, which is under test, and tx-peer in the receiver."""

from __future__ import annotations

from pathlib import Path

from lab.plan.case import ClientSpec, Counter, Preflight, Traffic
from lab.plan.commands import LAYER, cgroup_of
from lab.plan.nics import NicProfile
from lab.units import MIB
from suites.tx_zerocopy.clients import COMPLETED, UNCOPIED, Behaviour, Sending


def client_argv(client: ClientSpec, port: int, seed: int) -> tuple[str, ...]:
    """argv of tx-client; it is a server on `port`."""
    argv = [f"{LAYER}/tx-client", "--behaviour", client.behaviour, "--name", client.name, "--port", str(port)]
    argv += ["--sockets", str(client.sockets), "--bytes", str(client.deliver), "--cgroup", cgroup_of(client.path)]
    if client.verify:
        argv += ["--seed", str(seed), "--verify"]
    if isinstance(client, Sending) and client.sndbuf:
        argv += ["--sndbuf", str(client.sndbuf)]
    if isinstance(client, Sending) and client.memlock:
        argv += ["--memlock", str(client.memlock)]
    return tuple(argv)


def peer_argv(client: ClientSpec, address: str, port: int, seed: int, mss: int = 0) -> tuple[str, ...]:
    """argv of the tx-peer that takes what this client sends."""
    argv = [f"{LAYER}/tx-peer", "--to", address, "--port", str(port), "--sockets", str(client.sockets)]
    argv += ["--bytes", str(client.deliver)]
    if client.verify:
        argv += ["--seed", str(seed), "--verify"]
    if isinstance(client, Sending) and client.waits:
        argv += ["--waits"]
    if isinstance(client, Sending) and client.window:
        argv += ["--rcvbuf", str(client.window)]
    return tuple(argv)


FLOOR = 0.9
"""Share of what is sent by MSG_ZEROCOPY that must go without a copy. Of a NIC that can, all of it does."""

COUNTERS = (
    *("sent", "zerocopied", "completed", "copied", "uncopied", "unacked", "anon", "queued", "held"),
    *("sends", "notified", "twice", "unknown", "early", "refusals", "received"),
)


def scatters(nic: NicProfile) -> bool:
    """Whether a NIC sends pages as they lie in the sender, so that TCP need not copy them.

    TCP asks for NETIF_F_SG (tcp_sendmsg_locked() of net/ipv4/tcp.c). virtio has it only with VIRTIO_NET_F_CSUM
    (virtnet_probe() of drivers/net/virtio_net.c), which QEMU offers where its netdev takes a vnet header: a tap does,
    the AF_UNIX stream does not. What is looped to a local socket is copied in any case (skb_orphan_frags_rx()).
    """
    return nic.link == "tap" or (nic.link == "unix" and nic.module != "virtio_net")


TRAFFIC = Traffic(
    tested="sender",
    client=client_argv,
    peer=peer_argv,
    preflight=Preflight(
        Sending("preflight", Behaviour.RING, None, 6 * MIB),
        part=UNCOPIED,
        whole=COMPLETED,
        floor=lambda _: FLOOR,
        possible=lambda nic, _: scatters(nic),
        shown="was sent without a copy",
    ),
    counters=frozenset(map(Counter, COUNTERS)),
    programs=Path(__file__).with_name("guest"),
)
