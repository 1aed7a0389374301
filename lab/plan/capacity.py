# SPDX-License-Identifier: GPL-2.0-only
"""How many pairs fit on a host, as arithmetic that can be shown."""

from __future__ import annotations

from collections.abc import Iterable

from lab.contracts import HostSize
from lab.errors import BadInput
from lab.plan.case import Shape

QEMU_OVERHEAD_MIB = 100  # measured: RSS of a guest is below its memory plus this
HOST_RESERVE_MIB = 1024  # for the workers, Ansible and the page cache of kernels and image
PAIRS_PER_CPU = 2  # a pair is two busy vCPUs, but waits for half of its life; beyond this guests starve each other


def pair_mib(shape: Shape) -> int:
    """MiB of host memory for all pairs that one run needs at once; an upper bound."""
    return shape.pairs * (shape.receiver_mib + shape.sender_mib + 2 * QEMU_OVERHEAD_MIB)


def largest(shapes: Iterable[Shape]) -> Shape:
    """The one whose pairs take the most memory; of equals the plainest, in any order. Raises ValueError for none."""
    return min(shapes, key=lambda shape: (-pair_mib(shape), shape.receiver_vcpus, shape.name))


def arithmetic(host: HostSize, shape: Shape) -> str:
    """The sum behind an admission, in words."""
    times, end = (f"{shape.pairs} x (", ")") if shape.pairs > 1 else ("", "")
    return (
        f"a {shape.name} pair takes {times}{shape.receiver_mib} + {shape.sender_mib} + 2 x {QEMU_OVERHEAD_MIB}{end} = "
        f"{pair_mib(shape)} MiB; this host has {host.available_mib} MiB available, of which {HOST_RESERVE_MIB} MiB "
        "stay reserved"
    )


def pairs_that_fit(host: HostSize, shapes: Iterable[Shape]) -> int:
    """Pairs that may run at once: bounded by memory (the largest shape) and by PAIRS_PER_CPU.

    Raises BadInput, with the arithmetic, when not even one fits.
    """
    most = largest(shapes)
    by_memory = (host.available_mib - HOST_RESERVE_MIB) // pair_mib(most)
    if by_memory < 1:
        raise BadInput([f"no pair fits: {arithmetic(host, most)}"], hint="free memory, or run less beside it")
    return max(1, min(by_memory, host.cpus * PAIRS_PER_CPU))


def room_for_another(host: HostSize, shape: Shape) -> bool:
    """Whether memory that is available now takes one more pair, for a run that has not begun yet."""
    return host.available_mib - HOST_RESERVE_MIB >= pair_mib(shape)


def admit(host: HostSize, shapes: Iterable[Shape], wanted: int) -> int:
    """`wanted` pairs, refused with the arithmetic when they do not fit in memory."""
    most = largest(shapes := tuple(shapes))
    pairs_that_fit(host, shapes)
    if wanted * pair_mib(most) + HOST_RESERVE_MIB > host.available_mib:
        raise BadInput([f"{wanted} pairs do not fit: {arithmetic(host, most)}"], hint="-n auto")
    return wanted
