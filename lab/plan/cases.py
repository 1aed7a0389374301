# SPDX-License-Identifier: GPL-2.0-only
"""The cases: what is run, with which clients, and which rules judge it. Kernel knowledge lives in this table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from lab.units import KIB, MIB, PAGE_SIZE

Behaviour = Literal[
    "map",
    "copy",
    "drop",
    "slow",
    "hold",
    "hold-or-copy",
    "pin-vmsplice",
    "pin-tee",
    "pin-fork",
    "pin-sendzc",
    "pin-uring",
]


@dataclass(frozen=True)
class ClientSpec:
    """One traffic client in its own memcg, and the stream that feeds it.

    limit      memory.max of its cgroup in bytes, None for no limit
    deliver    bytes its sender offers; 0 means until the stream breaks
    rate       bytes/s the sender is held to; 0 means as fast as the link goes
    ring       `copy` only: bytes of anonymous memory it reuses; 0 keeps everything
    rcvbuf     SO_RCVBUF of each socket; the kernel lets twice as much queue. 0 leaves it to the kernel
    leave      bytes at the end of each socket's stream that it does not take
    unkillable `hold` and `hold-or-copy`: the OOM killer may not take it, so its limit has to hold by refusing
    lowered    what memory.max is set to while it runs, None for no change
    """

    name: str
    behaviour: Behaviour
    limit: int | None
    deliver: int
    sockets: int = 1
    rate: int = 0
    ring: int = 0
    rcvbuf: int = 0
    verify: bool = False
    leave: int = 0
    unkillable: bool = False
    lowered: int | None = None


@dataclass(frozen=True)
class Shape:
    """Memory of the two guests, in MiB. One vCPU each.

    pairs    how many such pairs a run has at once: two where a reference kernel runs beside the one under test
    counted  the receiver's QEMU counts the instructions it executes
    """

    name: str
    receiver_mib: int
    sender_mib: int
    pairs: int = 1
    counted: bool = False


STANDARD = Shape("standard", 768, 256)
SMALL = Shape("small", 448, 256)
SIDE_BY_SIDE = Shape("side-by-side", 512, 256, pairs=2, counted=True)


@dataclass(frozen=True)
class Case:
    """One experiment.

    claim      the sentence of the thread it tests
    subject    the client whose ledger is judged
    needs_map  it says nothing unless pages were really mapped
    rules      names of the rules in lab.verdict.rules that must each speak for a PASS
    seconds    expected guest time; only orders the work
    compares   the same is done, in turns, on a pair with the reference kernel; measured, so nothing is promised
    """

    name: str
    claim: str
    how: str
    clients: tuple[ClientSpec, ...]
    rules: tuple[str, ...]
    subject: str = "abuser"
    needs_map: bool = True
    shape: Shape = STANDARD
    seconds: int = 5
    compares: bool = False


LIMIT = 64 * MIB
PACE = LIMIT
"""Bytes a second at most to a client that its limit may end: ten samples of telemetry lie between nothing and the
limit, however fast the host. Under emulation streams hardly come to it."""

IDLE, TURN = "idle", "turn"
"""Clients of `cost`, but for a number: a trickle shows what the guest executes anyway; and the transfers."""

ALWAYS = ("kernel-alive", "lab-alive", "complete", "preflight", "heard", "balanced", "exercised", "witnesses")


def _pin_other(way: Behaviour, how: str, *more: str) -> Case:
    """One way to pin pages, each a case of its own so that a verdict names the way."""
    claim = '"Can there be instances where the buffers are pinned by something else for indefinite lengths of time?"'
    return Case(way, claim, how, (ClientSpec("abuser", way, LIMIT, 4 * LIMIT, rate=PACE),), (*ALWAYS, "billed", *more))


def _against_the_limit(behaviour: Behaviour, sockets: int, limit: int = LIMIT, rcvbuf: int = 0) -> ClientSpec:
    """Many sockets map at once until the limit refuses, without an OOM kill. A socket's share fills one page table."""
    deliver = sockets * (2 * MIB - PAGE_SIZE)
    return ClientSpec("abuser", behaviour, limit, deliver, sockets=sockets, rcvbuf=rcvbuf, unkillable=True)


NEVER_OVER = _against_the_limit("hold", sockets=64, limit=48 * MIB, rcvbuf=80 * KIB)
"""Comes to its limit where four tenths of what it takes can be mapped (profile e1000), and is offered little more
than that needs: what is charged by force beyond a limit comes slowly."""


def _double_count(name: str, sockets: int, share: int = 128 * KIB) -> Case:
    """`share` are bytes a socket: several packets, so that the last of them is a whole one."""
    rcvbuf = min(4 * share, 8 * MIB)
    client = ClientSpec("abuser", "hold", None, sockets * share, sockets=sockets, rcvbuf=rcvbuf, leave=PAGE_SIZE)
    return Case(
        name,
        "\"The period of double counting ... till the struct sk_buff's were disposed of - for an skb that's up to "
        '45 pages. ... But note that is for one socket, and there can be quite a lot of open sockets"',
        f"{sockets} sockets: map all but the last page of each, so that the last packet stays charged as a whole",
        (client,),
        (*ALWAYS, "twice"),
        seconds=3,
    )


CASES: dict[str, Case] = {
    c.name: c
    for c in (
        Case(
            "hold",
            'mapped network memory "becomes unaccounted after getting mapped into the application address space"',
            "map 4 x limit, never unmap",
            (ClientSpec("abuser", "hold", LIMIT, 4 * LIMIT, rate=PACE),),
            (*ALWAYS, "billed"),
        ),
        Case(
            "pin-vmsplice",
            '"The user may have vmspliced those pages into a pipe and be pinning them long after the unmap"',
            "map, vmsplice into pipes, unmap, repeat to 4 x limit",
            (ClientSpec("abuser", "pin-vmsplice", LIMIT, 4 * LIMIT, rate=PACE),),
            (*ALWAYS, "billed"),
        ),
        _pin_other("pin-sendzc", "map, send with MSG_ZEROCOPY to a peer that never reads, unmap, repeat to 4 x limit"),
        _pin_other("pin-fork", "map, fork a child that keeps the mapping, unmap, repeat to 4 x limit"),
        _pin_other("pin-tee", "as pin-vmsplice, then tee and splice on to other pipes and close the first"),
        _pin_other("pin-uring", "map, register as buffers of an io_uring, unmap, repeat to 4 x limit", "allowed"),
        Case(
            "never-over",
            '"force-charging a quantity of memory that the container may not be entitled to"',
            "64 sockets map 2.6 x a limit of 48 MiB as fast as they can, by a client that the OOM killer may not take",
            (NEVER_OVER,),
            (*ALWAYS, "never-over"),
        ),
        Case(
            "never-over-lowered",
            '"force-charging a quantity of memory that the container may not be entitled to"',
            "the same at a steady rate, and memory.max is lowered to 16 MiB once the client holds more than that",
            (replace(NEVER_OVER, rate=8 * MIB, lowered=16 * MIB),),
            (*ALWAYS, "lowered"),
        ),
        Case(
            "refused",
            '"... force-charging a quantity of memory that the container may not be entitled to. Please revert back to '
            'precharging like in v1": at the limit nothing more is mapped, and the error is returned',
            "96 sockets go on mapping against the limit and copy what is refused; then every reference is dropped, and "
            "the cgroup is removed",
            (_against_the_limit("hold-or-copy", sockets=96),),
            (*ALWAYS, "returned", "buried"),
        ),
        _double_count("double-count", 64),
        _double_count("double-count-1", 1, 8 * MIB),  # what begins a stream comes in packets that cannot be mapped
        _double_count("double-count-16", 16, 256 * KIB),
        Case(
            "file-mapped",
            '"It is longstanding Linux behavior that driver pages mapped into userspace are accounted as file '
            'pages ... There is no reason to make memcg deviate from this"',
            "map 1 x limit without a limit set; compare smaps, vmstat and the cgroup's memory.stat",
            (ClientSpec("abuser", "hold", None, LIMIT),),
            (*ALWAYS, "file-mapped"),
        ),
        Case(
            "release",
            'the charge lifetime "ends when the object is fed back to whatever pool it came out of ... '
            'and its memory is available to new allocs"',
            "map 1 x limit without a limit set, drop every reference, look where charge and free memory settle",
            (ClientSpec("abuser", "pin-vmsplice", None, LIMIT),),
            (*ALWAYS, "returned"),
        ),
        Case(
            "dead-memcg",
            '"The page in the pool may keep a memcg pinned for arbitrary long time"',
            "remove the cgroup while its pages are out, then drop them; compare with an empty cgroup removed likewise",
            (ClientSpec("abuser", "hold", None, LIMIT),),
            (*ALWAYS, "buried"),
        ),
        Case(
            "bystander",
            '"This can cause a memory isolation issue"',
            "an innocent cgroup takes a steady stream while the abuser pins until something gives",
            (
                ClientSpec("innocent", "copy", 96 * MIB, 0, rate=2 * MIB, ring=24 * MIB),
                ClientSpec("abuser", "pin-vmsplice", LIMIT, 1024 * MIB, rate=PACE),
            ),
            (*ALWAYS, "billed", "isolated"),
            shape=SMALL,
            seconds=12,
        ),
        Case(
            "copy-control",
            "(control) ordinary recv into anonymous memory is charged and contained",
            "recv 4 x limit into fresh anonymous memory",
            (ClientSpec("abuser", "copy", LIMIT, 4 * LIMIT, rate=PACE),),
            (*ALWAYS, "contained"),
            needs_map=False,
            seconds=3,
        ),
        Case(
            "sock-control",
            "(control) data queued in the socket is charged as sock",
            "a reader that never reads",
            (ClientSpec("abuser", "slow", LIMIT, 4 * LIMIT, sockets=4, rcvbuf=4 * MIB),),
            (*ALWAYS, "queue-billed"),
            needs_map=False,
            seconds=3,
        ),
        Case(
            "bytes-equal",
            "(control) zerocopy delivers what was sent",
            "a seeded stream under every client, checked byte by byte, mapped and copied parts",
            (
                ClientSpec("map", "map", None, 16 * MIB, verify=True),
                ClientSpec("copy", "copy", None, 16 * MIB, ring=1 * MIB, verify=True),
                ClientSpec("hold", "hold", None, 16 * MIB, verify=True),
                ClientSpec("pin", "pin-vmsplice", None, 16 * MIB, verify=True),
            ),
            (*ALWAYS, "bytes-equal"),
            subject="hold",
        ),
        Case(
            "cross-memcg",
            '"The page in the pool ... may get used by other memcg"',
            "clients of two parties, each in a cgroup of its own, take turns at holding and releasing; then both hold",
            tuple(ClientSpec(name, "hold", None, 24 * MIB) for name in ("a1", "b1", "a2", "b2", "a3", "b3")),
            (*ALWAYS, "own-bill"),
            subject="b2",
            seconds=10,
        ),
        Case(
            "opt-in",
            '"Failure to opt-in ... can either lead to unaccounted zerocopy (ie. existing behaviour) or, optionally, '
            'effectively disabled zerocopy"',
            "hold under either setting, and copy where TCP_ZEROCOPY_RECEIVE is refused",
            (
                ClientSpec("lenient", "hold-or-copy", None, 32 * MIB),
                ClientSpec("strict", "hold-or-copy", None, 32 * MIB),
            ),
            (*ALWAYS, "opted"),
            subject="strict",
        ),
        Case(
            "visible",
            '"It\'d be great if it could track used and cached pages and report to vmstat"',
            "hold 1 x limit and release it, and read the counters beside the client's own count",
            (ClientSpec("abuser", "hold", None, LIMIT),),
            (*ALWAYS, "counted"),
        ),
        Case(
            "reclaim",
            '"return any unused pages when the system is struggling with memory pressure"',
            "fill the pool by holding and releasing 1 x limit, then take more memory than is free without its pages",
            (ClientSpec("abuser", "hold", None, LIMIT),),
            (*ALWAYS, "given-back"),
        ),
        Case(
            "cost",
            'what accounting costs: "a branch in put_page", and charging on the fast path',
            "a well-behaved client takes the same stream on this kernel and on the reference in turns; "
            "instructions and seconds for each MB",
            (
                *(ClientSpec(f"{IDLE}{n}", "copy", None, MIB, rate=MIB // 2, ring=MIB) for n in range(2)),
                *(ClientSpec(f"{TURN}{n}", "map", None, 128 * MIB) for n in range(14)),
            ),
            (*ALWAYS, "reference", "cost"),
            subject=f"{TURN}0",
            shape=SIDE_BY_SIDE,
            seconds=40,
            compares=True,
        ),
    )
}
