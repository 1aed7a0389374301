# SPDX-License-Identifier: GPL-2.0-only
"""The table of shares, and what follows from it: what can be mapped where, and what is predicted then."""

from __future__ import annotations

import pytest

from lab.plan.design import Predicted
from lab.plan.nics import NICS
from lab.verdict.model import Word
from suites.rx_zerocopy.shares import POOLED, SHARES, is_pooled, predicted_share
from tests.known import predicted
from tests.unit.verdict.builder import story
from tests.unit.verdict.reds_pools import shared

RELEASES = ("6.1.192", "6.12.117+deb12-amd64", "6.13.0-rc1", "6.18.15+deb13-amd64", "7.0.1", "7.1.0", "7.3.4", "8.0.0")


def test_the_table_has_every_profile_and_no_other() -> None:
    assert SHARES.keys() == NICS.keys()
    assert POOLED.keys() <= NICS.keys()


@pytest.mark.parametrize("nic", NICS)
def test_the_lines_of_a_profile_are_in_their_order(nic: str) -> None:
    lines = [since for since, _ in SHARES[nic]]
    assert lines == sorted(set(lines))
    assert lines[0] == (0, 0)


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("nic", NICS)
def test_what_maps_by_the_table_of_nics_maps_by_this_one(nic: str, release: str) -> None:
    assert bool(predicted_share(nic, release)) is NICS[nic].maps_on(release)


@pytest.mark.parametrize(
    ("nic", "release", "share"),
    [
        ("virtio-jumbo", "7.0.9", 0.0),
        ("virtio-jumbo", "7.1.0-rc1", 0.46),
        ("virtio-mrg", "6.12.117", 0.90),
        ("virtio-mrg", "6.13.0", 0.0),
        ("virtio-mrg", "7.3.4", 0.94),
        ("virtio-jumbo", "mine", None),
        ("no-nic", "7.3.4", None),
    ],
)
def test_a_share_is_that_of_the_last_line_that_changed_it(nic: str, release: str, share: float | None) -> None:
    assert predicted_share(nic, release) == share


def test_a_pool_is_there_from_the_line_on_that_brought_it() -> None:
    found = [is_pooled(NICS["virtio-jumbo"], release) for release in ("7.0.9", "7.1.0", "7.3.4", "mine")]
    assert found == [False, True, True, True]
    assert not any(is_pooled(NICS[nic], "7.3.4") for nic in NICS.keys() - POOLED.keys())


@pytest.mark.parametrize(
    ("nic", "release", "word"),
    [("virtio-jumbo", "7.0.9", "ERROR"), ("virtio-jumbo", "7.3.4", "FAIL"), ("virtio-mrg", "6.18.15", "ERROR")],
)
def test_where_a_kernel_maps_nothing_an_error_is_predicted(nic: str, release: str, word: str) -> None:
    assert predicted("stock", nic, "hold", release) is Predicted(word)


@pytest.mark.parametrize("case", ["pool-release", "recycled-charge"])
@pytest.mark.parametrize("nic", NICS)
def test_without_a_page_pool_an_error_is_predicted(nic: str, case: str) -> None:
    found = {release: predicted("stock", nic, case, release) for release in ("6.12.117", "7.0.9", "7.3.4")}
    known = {"virtio-jumbo"} if case == "recycled-charge" else POOLED.keys()
    there = Predicted.PASS if nic in known else Predicted.ERROR
    assert found == {"6.12.117": Predicted.ERROR, "7.0.9": Predicted.ERROR, "7.3.4": there}


@pytest.mark.parametrize("case", ["pool-release", "recycled-charge"])
def test_a_nic_without_a_page_pool_is_an_error_that_says_so(case: str) -> None:
    verdict = story(case, nic="e1000e-split").verdict()
    assert verdict.word is Word.ERROR
    assert any("no page pool here" in finding.message for finding in verdict.findings)


@pytest.mark.parametrize("nic", NICS)
def test_the_share_has_a_verdict_everywhere(nic: str) -> None:
    assert {predicted("stock", nic, "map-share", release) for release in RELEASES} == {Predicted.PASS}


@pytest.mark.parametrize(
    ("nic", "release", "share"),
    [("virtio-jumbo", "7.3.4", 0.40), ("virtio-jumbo", "6.12.0", 0.0), ("vmxnet3", "6.1.0", 0.009)],
)
def test_both_shares_are_told_where_they_agree(nic: str, release: str, share: float) -> None:
    verdict = shared(nic, release, share)().verdict()
    (finding,) = (f for f in verdict.findings if f.rule == "as-predicted")
    assert finding.word is verdict.word is Word.PASS
    assert finding.message.startswith(
        f"predicted {predicted_share(nic, release):.0%}, measured {share:.0%} of 48.0 MiB"
    )
    assert f"MTU {NICS[nic].mtu}" in finding.message
