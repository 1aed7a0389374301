# SPDX-License-Identifier: GPL-2.0-only
"""The red side of the rules of suites.rx_zerocopy.rules.shares and of .pools."""

from __future__ import annotations

from collections.abc import Callable

from lab.units import MIB
from tests.unit.verdict.builder import story
from tests.unit.verdict.machine import Json
from tests.unit.verdict.spoil import E, F, Red, client, in_checkpoint, spoilt
from tests.unit.verdict.told import Story


def shared(nic: str, release: str, share: float) -> Callable[[], Story]:
    """A run of `map-share` in which so much of the stream could be mapped."""

    def make() -> Story:
        told = story("map-share", nic=nic)
        told.manifest["kernel"] = {**told.manifest["kernel"], "release": release}
        for line in told.clients["reader"]:
            if line.get("delivered"):
                line.update(mapped=round(line["delivered"] * share))
        return told

    return make


def counted(checkpoint: str, name: str, more: int) -> Callable[[Story], object]:
    """The page pool of the link counts so many more, or less, at one moment."""

    def change(line: Json) -> None:
        line["pools"]["3"]["counts"][name] += more

    return in_checkpoint(checkpoint, change)


def untold(told: Story) -> None:
    """A kernel that has nothing to ask for page pools."""
    for line in told.checkpoints:
        del line["pools"]


def uncounted(told: Story) -> None:
    """A kernel without CONFIG_PAGE_POOL_STATS."""
    for line in told.checkpoints:
        line["pools"]["3"]["counts"] = {"inflight": 400}


def anew(told: Story) -> None:
    """The device was made anew in between, and its pool with it."""
    told.checkpoint("baseline")["pools"]["3"]["counts"]["recycle_released_refcnt"] = 1 << 40


def crowded(told: Story) -> None:
    for line in told.checkpoints:
        line["pools_left_out"] = 1


def unseen(checkpoint: str) -> Callable[[Story], object]:
    return lambda told: told.checkpoints.remove(told.checkpoint(checkpoint))


def still_charged(pages: int) -> Callable[[Story], object]:
    return in_checkpoint("removed", lambda line: line["pages"].update(offline=pages))


def still_mapped(told: Story) -> None:
    """Half of what is kept was never unmapped."""
    for line in told.clients["abuser"]:
        if line.get("pinned"):
            half = line["pinned"] // 2
            line.update(pinned=line["pinned"] - half, mapped_now=half)


def nothing(_: Story) -> None:
    """The NIC is what is wrong."""


LEFT, RING, FULL = "recycle_released_refcnt", "recycle_ring", "recycle_ring_full"


POOL_REDS: tuple[Red, ...] = (
    Red("as-predicted", "46 % predicted, 12 % measured", F, shared("virtio-jumbo", "7.3.4+deb13-amd64", 0.12)),
    Red("as-predicted", "nothing predicted, 46 % measured", F, shared("virtio-jumbo", "7.0.9+deb13-amd64", 0.46)),
    Red("as-predicted", "90 % predicted, nothing measured", F, shared("virtio-mrg", "6.12.117+deb12-amd64", 0.0)),
    Red("as-predicted", "nothing predicted, 2 % measured", F, shared("vmxnet3", "6.12.0-lab", 0.02)),
    Red("as-predicted", "more than all", E, shared("e1000e-split", "6.12.0-lab", 1.01)),
    Red("as-predicted", "a kernel without a number", E, shared("e1000e-split", "mine", 0.99)),
    Red(
        "exercised",
        "half of it came",
        E,
        spoilt("map-share", client("reader", "holding", delivered=24 * MIB, mapped=24 * MIB)),
    ),
    Red("released", "a page that is pinned went back", F, spoilt("pool-release", counted("held", LEFT, -1))),
    Red("released", "a page left that nobody keeps", F, spoilt("pool-release", counted("held", LEFT, 1))),
    Red("released", "no pool on that NIC", E, spoilt("pool-release", nothing, nic="e1000e-split")),
    Red("released", "a kernel that tells of no pools", E, spoilt("pool-release", untold)),
    Red("released", "a kernel without statistics", E, spoilt("pool-release", uncounted)),
    Red("released", "another pool than before", E, spoilt("pool-release", anew)),
    Red("released", "more pools than there is room for", E, spoilt("pool-release", crowded)),
    Red("released", "nobody looked before", E, spoilt("pool-release", unseen("baseline"))),
    Red("exercised", "mapped still", E, spoilt("pool-release", still_mapped)),
    Red("recycled", "pages of the ring are charged", F, spoilt("recycled-charge", still_charged(9))),
    Red("recycled", "no pool on that NIC", E, spoilt("recycled-charge", nothing, nic="e1000e-split")),
    Red("recycled", "removal unseen", E, spoilt("recycled-charge", unseen("removed"))),
    Red("exercised", "no pool to go back to", E, spoilt("recycled-charge", untold)),
    Red("exercised", "few went back", E, spoilt("recycled-charge", counted("released", LEFT, 41))),
    Red("exercised", "the ring took none", E, spoilt("recycled-charge", counted("released", RING, -200))),
    Red("exercised", "the ring was full", E, spoilt("recycled-charge", counted("released", FULL, 1))),
    Red("exercised", "release unseen", E, spoilt("recycled-charge", unseen("released"))),
)
