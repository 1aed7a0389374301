# SPDX-License-Identifier: GPL-2.0-only
"""Orders: what one keeps together, what it says, and what makes no sense."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.errors import BadInput
from lab.fleet.orders import batches, dump_order, is_place, parse_order, plan_of
from lab.host.paths import cache_root
from lab.host.records import dump_record
from lab.plan.order import running_order
from tests.unit.fleet.made import order_of, plan_in

CASES = ("hold", "release")
Fields = dict[str, Any]


def altered(folder: Path, change: Callable[[Fields], object]) -> bytes:
    """An order of which somebody changed a field, and made the digest anew."""
    fields = json.loads(order_of(plan_in(folder)).model_dump_json())
    change(fields)
    return dump_record(fields)


def test_runs_that_share_a_pair_stay_together(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    plan = replace(plan, runs=running_order(plan.runs, pairs=1))
    found = batches(plan)
    assert sum(map(len, found.values())) == len(plan.runs) == 4
    assert all(len({run.pair_key for run in runs}) == 1 for runs in found.values())
    assert len(found) == 2


def test_an_order_is_read_back_as_it_was_made_in_another_cache(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    order = order_of(plan)
    again = parse_order(dump_order(order), "order.json", CASES)
    assert again == order
    there = plan_of(again, Path("/elsewhere"))
    assert there.runs == plan.runs
    assert there.kernels[0].boot == Path("/elsewhere/kernels/k/boot")
    assert str(tmp_path).encode() not in dump_order(order).replace(str(cache_root()).encode(), b"")
    assert not again.key.startswith("/")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.update(format=2), "format"),
        (lambda f: f.update(batch="../x"), "batch"),
        (lambda f: f.update(attempt=0), "attempt"),
        (lambda f: f.update(run="rm -rf /"), "run"),
        (lambda f: f.update(made="yesterday"), "made"),
        (lambda f: f.update(made="2026-01-01T00:00:00"), "made"),
        (lambda f: f.update(plan={}), "plan"),
        (lambda f: f["artefacts"][0].update(place="../../etc/passwd"), "no place in a cache"),
        (lambda f: f["artefacts"][0].update(place="/etc/passwd"), "no place in a cache"),
        (lambda f: f["artefacts"][0].update(sha256="0" * 64), "another sha256"),
        (lambda f: f["artefacts"].pop(), "none of the artefacts"),
        (lambda f: f["plan"]["image"].update(path="/etc/passwd"), "'/etc/passwd' is no place in a cache"),
        (lambda f: f["plan"]["image"].update(path="cache:../x"), "leads out of the cache"),
        (lambda f: f["plan"].update(plugin="cache:kernels/k/boot"), "plugin"),
        (lambda f: f["plan"].update(folder="/etc"), "folder"),
        (lambda f: f["plan"].update(sockets="/etc"), "sockets"),
        (lambda f: f["plan"].update(connect="qemu+ssh://elsewhere/system"), "connect"),
        (lambda f: f["plan"].update(runs=[]), "runs"),
        (lambda f: f["plan"]["runs"].append(f["plan"]["runs"][0]), "twice"),
        (lambda f: f["plan"]["runs"][0].update(case="nosuch"), "no such case"),
        (lambda f: f["plan"]["runs"][0].update(nic="nosuch"), "no NIC profile"),
        (lambda f: f["plan"]["runs"][0].update(session="other"), "another session"),
        (lambda f: f["plan"]["runs"][0].update(kernel="other"), "'other' is not in the plan"),
    ],
)
def test_what_makes_no_sense_is_told(tmp_path: Path, change: Callable[[Fields], object], said: str) -> None:
    with pytest.raises(BadInput) as told:
        parse_order(altered(tmp_path, change), "order.json", CASES)
    assert said in str(told.value)
    assert "order.json: " in str(told.value)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    def change(fields: Fields) -> None:
        fields["plan"]["runs"][0]["case"] = "nosuch"
        fields["plan"]["runs"][1]["nic"] = "nosuch"
        fields["plan"]["folder"] = "/etc"

    with pytest.raises(BadInput) as told:
        parse_order(altered(tmp_path, change), "order.json", CASES)
    assert len(told.value.problems) == 3


def test_a_flipped_byte_and_what_is_no_order_are_told(tmp_path: Path) -> None:
    data = dump_order(order_of(plan_in(tmp_path)))
    for damaged in (data.replace(b'"hold"', b'"HOLD"'), b"", b"[]", b"{", b"[" * 100_000, data[:-40]):
        with pytest.raises(BadInput):
            parse_order(damaged, "order.json", CASES)


def test_places() -> None:
    assert is_place("kernels/6.18.15+deb13-amd64_6.18.15-1~bpo13+1_d38a/boot")
    for bad in ("", "/", "..", "a/../b", "./a", "a//b", "a/", "a/.ssh", "a\nb", "."):
        assert not is_place(bad), bad
