# SPDX-License-Identifier: GPL-2.0-only
"""What a transfer must have done to count, and how the rounds of several pairs become one record."""

from __future__ import annotations

import pytest

from bench.harness import record
from bench.throughput import TRANSFER, outcome, rate
from lab.cli.measure import Moved
from lab.errors import LabTrouble
from lab.plan.nics import NICS

NIC = NICS["virtio"]
MAPPED = int(TRANSFER * NIC.floor)


def test_the_rate_is_that_of_the_guests_clock() -> None:
    assert rate(Moved(TRANSFER, MAPPED, 2.0, 2.1), NIC, maps=True) == TRANSFER / (1 << 20) / 2
    assert rate(Moved(TRANSFER, 0, 2.0, 2.1), NIC, maps=False) == TRANSFER / (1 << 20) / 2


@pytest.mark.parametrize(
    ("moved", "complaint"),
    [
        (Moved(TRANSFER - 1, MAPPED, 2.0, 2.0), "bytes came of"),
        (Moved(TRANSFER, MAPPED - 4096, 2.0, 2.0), "the floor"),
        (Moved(TRANSFER, MAPPED, 0.5, 2.0), "in the guest"),
        (Moved(TRANSFER, MAPPED, 2.0, 0.5), "in the guest"),
    ],
)
def test_a_transfer_that_says_nothing_is_no_figure(moved: Moved, complaint: str) -> None:
    with pytest.raises(LabTrouble, match=complaint):
        rate(moved, NIC, maps=True)


def test_each_profile_has_its_ratios() -> None:
    rounds = [{"map": 90.0, "copy": 60.0, "raw": 120.0}] * 3
    half = [{key: value / 2 for key, value in r.items()} for r in rounds]
    told = record(
        "throughput",
        outcome({"e1000e-split": rounds, "virtio": half}, {"e1000e-split": [0.9, 1.0, 1.0], "virtio": [0.5]}, {}),
        {},
    )
    for key in ("e1000e_split", "virtio"):
        assert told[f"{key}_map_over_raw"] == 0.75
        assert told[f"{key}_copy_over_raw"] == 0.5
        assert told[f"{key}_map_over_copy"] == 1.5
        assert told[f"{key}_map_over_raw_spread"] == [0.75, 0.75]
    assert (told["virtio_raw_MiB_per_s"], told["e1000e_split_raw_MiB_per_s"]) == (60.0, 120.0)
    assert (told["virtio_mapped_share"], told["e1000e_split_mapped_share"]) == (0.5, 1.0)
    assert len(told["rounds"]) == 3
