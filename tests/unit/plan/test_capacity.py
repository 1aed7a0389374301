# SPDX-License-Identifier: GPL-2.0-only
"""How many pairs fit, and the sum that says so."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.contracts import HostSize
from lab.errors import BadInput
from lab.plan.capacity import (
    HOST_RESERVE_MIB,
    PAIRS_PER_CPU,
    QEMU_OVERHEAD_MIB,
    admit,
    arithmetic,
    largest,
    pair_mib,
    pairs_that_fit,
)
from lab.plan.case import STANDARD
from suites.rx_zerocopy.case import SIDE_BY_SIDE, SMALL

ONE = pair_mib(STANDARD)


def test_a_pair_takes_both_guests_and_both_emulators() -> None:
    assert STANDARD.receiver_mib + STANDARD.sender_mib + 2 * QEMU_OVERHEAD_MIB == ONE


def test_of_equally_large_pairs_the_plainest_is_named_whatever_their_order() -> None:
    several = replace(STANDARD, name="several-cpus", receiver_vcpus=2)
    assert largest([several, STANDARD, SMALL]) == largest([STANDARD, SMALL, several]) == STANDARD


def test_a_run_with_a_reference_beside_it_takes_two_pairs() -> None:
    both = 2 * (SIDE_BY_SIDE.receiver_mib + SIDE_BY_SIDE.sender_mib + 2 * QEMU_OVERHEAD_MIB)
    assert pair_mib(SIDE_BY_SIDE) == both
    assert "2 x (512 + 256 + 2 x 100) = 1936 MiB" in arithmetic(HostSize(8000, 2), SIDE_BY_SIDE)
    assert pairs_that_fit(HostSize(HOST_RESERVE_MIB + 2 * both - 1, 8), [SIDE_BY_SIDE]) == 1


@pytest.mark.parametrize(
    ("available", "cpus", "fit"),
    [
        (HOST_RESERVE_MIB + ONE, 8, 1),
        (HOST_RESERVE_MIB + 2 * ONE - 1, 8, 1),
        (HOST_RESERVE_MIB + 2 * ONE, 8, 2),
        (HOST_RESERVE_MIB + 9 * ONE, 2, 4),
        (HOST_RESERVE_MIB + 9 * ONE, 1, 2),
    ],
)
def test_memory_and_cpus_bound_the_pairs(available: int, cpus: int, fit: int) -> None:
    assert pairs_that_fit(HostSize(available, cpus), [SMALL, STANDARD]) == fit


def test_a_host_too_small_for_one_pair_is_told_the_sum() -> None:
    with pytest.raises(BadInput) as caught:
        pairs_that_fit(HostSize(HOST_RESERVE_MIB + ONE - 1, 4), [STANDARD])
    for number in (ONE, HOST_RESERVE_MIB + ONE - 1, HOST_RESERVE_MIB, STANDARD.receiver_mib):
        assert f"{number} " in str(caught.value)


def test_a_wish_beyond_memory_is_refused_with_the_sum_and_one_within_is_not_cut() -> None:
    host = HostSize(HOST_RESERVE_MIB + 3 * ONE, 1)
    assert admit(host, [STANDARD], 3) == 3
    with pytest.raises(BadInput, match=f"4 pairs do not fit: .*{ONE} MiB"):
        admit(host, [STANDARD], 4)


@given(st.integers(0, 100_000), st.integers(1, 64))
def test_what_fits_never_exceeds_the_host(available: int, cpus: int) -> None:
    host = HostSize(available, cpus)
    try:
        fit = pairs_that_fit(host, [STANDARD])
    except BadInput:
        assert available < HOST_RESERVE_MIB + ONE
    else:
        assert 1 <= fit <= cpus * PAIRS_PER_CPU
        assert fit * ONE + HOST_RESERVE_MIB <= available
        assert admit(host, [STANDARD], fit) == fit
