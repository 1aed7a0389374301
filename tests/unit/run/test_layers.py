# SPDX-License-Identifier: GPL-2.0-only
"""Which programs go into the guests of a run: those of its case's traffic, and of no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.contracts import GuestImage, Progress
from lab.errors import BadInput
from lab.experiments.found import case_named
from lab.pair.ready import pair_request
from lab.plan.matrix import expand
from lab.session import prepare
from lab.verdict.case import Case
from tests.known import CASES
from tests.unit.run.plans import kernel, planned


@pytest.fixture
def other() -> Case:
    """A case of another experiment, which brings programs as well."""
    traffic = CASES["hold"].traffic
    assert traffic is not None
    return replace(CASES["hold"], name="other", traffic=replace(traffic, programs=Path("/other/guest")))


def made(folder: Path, progress: Progress) -> GuestImage:
    progress(str(folder))
    return GuestImage(folder / "layer.erofs", "0", folder.parent.name)


def test_each_case_has_the_layer_of_its_traffic_made_once(other: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepare, "ensure_layer", made)
    said: list[str] = []
    cases = [CASES["hold"], CASES["release"], other, case_named("net/tcp_mmap")]
    layers = prepare._layers(cases, said.append)
    keys = {name: layer.key for name, layer in layers.items()}
    assert keys == {"hold": "rx_zerocopy", "release": "rx_zerocopy", "other": "other"}
    assert len(said) == 2


def test_all_that_do_not_build_are_told_at_once(other: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(folder: Path, _: Progress) -> GuestImage:
        raise BadInput([f"{folder}: x.c does not build"])

    monkeypatch.setattr(prepare, "ensure_layer", broken)
    with pytest.raises(BadInput) as caught:
        prepare._layers([CASES["hold"], other, CASES["release"]], lambda _: None)
    assert len(caught.value.problems) == 2
    assert "/other/guest: x.c does not build" in caught.value.problems


def test_a_pair_is_asked_for_with_the_layer_of_its_run(other: Case, tmp_path: Path) -> None:
    cases = [CASES["hold"], case_named("net/tcp_mmap")]
    runs = expand("s", [("k", "stock")], ["virtio"], cases, 1, layers={"hold": "rx"})
    layers = (GuestImage(Path("/l"), "0", "another"), GuestImage(Path("/l"), "1", "rx"))
    plan = replace(planned(tmp_path, [kernel("k")], runs), layers=layers)
    hold, selftest = (pair_request(plan, run, 1) for run in plan.runs)
    assert (hold.layer, selftest.layer) == (layers[1], None)
    assert hold.images == (plan.image, layers[1])
    assert selftest.images == (plan.image,)
