# SPDX-License-Identifier: GPL-2.0-only
"""Rounds are interleaved, records are flat, and rounds of two kinds do not mix."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bench.harness import Measure, Outcome, Ratio, interleaved, record, rounds_before
from lab.errors import BadInput, GuestLost

CONTEXT = {"cpus": 2, "cpu_model": "x", "host_kernel": "6", "qemu": "7.2.1", "libvirt": "9.0.0", "accelerator": "tcg"}


def counted(calls: list[str], name: str, value: float) -> Callable[[], float]:
    def once() -> float:
        calls.append(name)
        return value + len(calls) / 100

    return once


def test_rounds_are_interleaved_and_the_first_does_not_count() -> None:
    calls: list[str] = []
    rounds = interleaved({name: counted(calls, name, 1.0) for name in "ab"}, 4, lambda _: None)
    assert len(rounds) == 4
    assert [list(r) for r in rounds] == [["a", "b"]] * 4  # told in the order the bench names them
    assert len(calls) == 10
    assert all(sorted(calls[n : n + 2]) == ["a", "b"] for n in range(0, 10, 2))
    assert {calls[n] for n in range(0, 10, 2)} == {"a", "b"}  # neither is always first
    assert min(min(r.values()) for r in rounds) > 1.02


def test_a_variant_may_give_several_values() -> None:
    variants: dict[str, Measure] = {"pair": lambda: {"map": 3.0, "copy": 2.0}, "pair_raw": lambda: 9.0}
    rounds = interleaved(variants, 2, lambda _: None)
    assert rounds == [{"pair_map": 3.0, "pair_copy": 2.0, "pair_raw": 9.0}] * 2
    assert list(rounds[0]) == ["pair_map", "pair_copy", "pair_raw"]


def test_a_variant_that_fails_ends_the_bench() -> None:
    def lost() -> float:
        raise GuestLost("gone")

    with pytest.raises(GuestLost):
        interleaved({"a": lambda: 1.0, "b": lost}, 3, lambda _: None)


def outcome(rounds: int = 3) -> Outcome:
    values = [{"warm": 1.0 + n / 10, "cold": 8.0} for n in range(rounds)]
    return Outcome("Pairs", "s", values, (Ratio("warm_over_cold", "warm", "cold"),), {"virtme_ng": "1.42"})


def test_a_record_is_flat_with_spread_and_n_beside_each_figure() -> None:
    told = record("pair-ready", outcome(), CONTEXT)
    assert told["warm_over_cold"] == pytest.approx(1.1 / 8, abs=1e-4)
    low, high = told["warm_over_cold_spread"]
    assert low <= told["warm_over_cold"] <= high
    assert told["warm_over_cold_n"] == 3
    assert told["cold_s"] == 8.0
    assert told["virtme_ng"] == "1.42"
    assert told["qemu"] == "7.2.1"
    json.dumps(told)
    assert not any(isinstance(value, dict) for key, value in told.items() if key != "rounds")


def test_a_record_of_one_round_claims_no_spread() -> None:
    told = record("pair-ready", outcome(1), CONTEXT)
    assert told["warm_over_cold_spread"] is None
    assert told["warm_over_cold_n"] == 1


def test_more_rounds_continue_the_same_thing_only() -> None:
    old = record("pair-ready", outcome(), CONTEXT)
    assert rounds_before(old, record("pair-ready", outcome(), CONTEXT), ("virtme_ng",)) == old["rounds"]
    other = record("pair-ready", outcome(), {**CONTEXT, "qemu": "10.0.2", "cpus": 64})
    with pytest.raises(BadInput) as refusal:
        rounds_before({**old, "virtme_ng": "1.41"}, other, ("virtme_ng",))
    assert len(refusal.value.problems) == 3
