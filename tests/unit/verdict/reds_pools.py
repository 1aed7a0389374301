# SPDX-License-Identifier: GPL-2.0-only
"""The red side of the rules of suites.rx_zerocopy.rules.shares and of .pools."""

from __future__ import annotations

from collections.abc import Callable

from lab.units import MIB
from tests.unit.verdict.builder import story
from tests.unit.verdict.spoil import E, F, Red, client
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


def spoilt(spoil: Callable[[Story], object]) -> Callable[[], Story]:
    def make() -> Story:
        told = story("map-share")
        spoil(told)
        return told

    return make


POOL_REDS: tuple[Red, ...] = (
    Red("as-predicted", "46 % predicted, 12 % measured", F, shared("virtio-jumbo", "7.3.4+deb13-amd64", 0.12)),
    Red("as-predicted", "nothing predicted, 46 % measured", F, shared("virtio-jumbo", "7.0.9+deb13-amd64", 0.46)),
    Red("as-predicted", "90 % predicted, nothing measured", F, shared("virtio-mrg", "6.12.117+deb12-amd64", 0.0)),
    Red("as-predicted", "nothing predicted, 2 % measured", F, shared("vmxnet3", "6.12.0-lab", 0.02)),
    Red("as-predicted", "more than all", E, shared("e1000e-split", "6.12.0-lab", 1.01)),
    Red("as-predicted", "a kernel without a number", E, shared("e1000e-split", "mine", 0.99)),
    Red("exercised", "half of it came", E, spoilt(client("reader", "holding", delivered=24 * MIB, mapped=24 * MIB))),
)
