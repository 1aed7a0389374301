# SPDX-License-Identifier: GPL-2.0-only
"""The table of predictions, and what agrees with one."""

from __future__ import annotations

import pytest

from lab.errors import BadInput
from lab.experiments.found import case_named
from lab.plan.design import Predicted, design_of
from lab.plan.nics import NICS
from lab.verdict.model import Word
from lab.verdict.predict import agrees, predict
from suites.rx_zerocopy.designs import DESIGNS
from tests.known import CASES, inapplicable, predicted
from tests.unit.verdict.machine import Kernel
from tests.unit.verdict.reds_designs import from_a_page_pool


def test_each_case_says_what_it_expects_of_each_design() -> None:
    assert all(case.expect.keys() == DESIGNS.keys() == case.designs.keys() for case in CASES.values())


def test_what_does_not_apply_has_its_reason() -> None:
    skipped = {name for name, case in CASES.items() if Predicted.SKIP in case.expect.values()}
    assert skipped == {name for name, case in CASES.items() if case.why_not}


def test_a_nic_that_no_table_has_is_refused() -> None:
    with pytest.raises(BadInput, match="'nonic' is not a NIC"):
        predicted("stock", "nonic", "hold")


def test_a_design_of_another_experiment_is_stock_to_a_case() -> None:
    assert predicted("nodesign", "virtio", "hold") is predicted("stock", "virtio", "hold")


def test_a_nic_that_maps_nothing_is_an_error_for_every_case_that_applies() -> None:
    assert predicted("stock", "vmxnet3", "hold") is Predicted.ERROR
    assert predicted("stock", "e1000e-split", "hold") is Predicted.FAIL
    assert predicted("put-hook", "e1000e-split", "hold") is Predicted.PASS


@pytest.mark.parametrize("design", ["put-hook", "pool-return"])
def test_on_a_driver_it_does_not_account_for_a_design_is_stock(design: str) -> None:
    for nic in ("e1000", "vmxnet3"):
        for case in CASES.keys() - {"opt-in"}:
            assert predicted(design, nic, case) is predicted("stock", nic, case)
    assert predicted(design, "virtio", "hold") is Predicted.PASS
    assert predicted(design, "e1000", "hold") is Predicted.FAIL
    assert predicted("precharge", "e1000", "hold") is Predicted.PASS
    assert predicted("put-hook", "loopback", "hold") is Predicted.FAIL
    assert predicted("pool-return", "loopback", "hold") is Predicted.PASS


@pytest.mark.parametrize("design", ["put-hook", "pool-return"])
def test_what_a_page_pool_delivers_is_not_accounted_for(design: str) -> None:
    for case in CASES.keys() - {"opt-in"}:
        assert predicted(design, "virtio-mrg", case, "7.3.4") is predicted("stock", "virtio-mrg", case, "7.3.4")
    assert predicted(design, "virtio-mrg", "hold", "7.3.4") is Predicted.FAIL
    assert predicted(design, "virtio-mrg", "hold", "6.12.0") is Predicted.PASS
    assert predicted(design, "virtio", "hold", "7.3.4") is Predicted.PASS
    assert predicted("precharge", "virtio-mrg", "hold", "7.3.4") is Predicted.PASS
    assert inapplicable(design, "virtio-mrg", "never-over", "7.3.4")


def test_pages_of_a_page_pool_get_what_the_sysctl_says() -> None:
    assert from_a_page_pool(Kernel(mapped=False)).verdict().word is Word.PASS


@pytest.mark.parametrize("nic", NICS)
@pytest.mark.parametrize("design", DESIGNS)
def test_a_skip_is_predicted_where_and_only_where_a_reason_is_given(design: str, nic: str) -> None:
    for case in CASES:
        assert bool(inapplicable(design, nic, case)) is (predicted(design, nic, case) is Predicted.SKIP)


def test_the_reason_names_design_and_driver() -> None:
    assert inapplicable("stock", "virtio", "visible") == "n/a for stock: it has no pool of network pages to count"
    assert "pool-return on e1000" in inapplicable("pool-return", "e1000", "visible")


def test_an_open_prediction_hides_no_trouble() -> None:
    agreeing = {word for word in Word if agrees(word, Predicted.OPEN)}
    assert agreeing == {Word.PASS, Word.FAIL, Word.DONE, Word.SKIP}
    assert [word for word in Word if agrees(word, "PASS")] == [Word.PASS]


@pytest.mark.parametrize("predicted", Predicted)
def test_no_prediction_is_a_fault_of_the_kernel(predicted: Predicted) -> None:
    assert not any(agrees(word, predicted, kernel_fault=True) for word in Word)


@pytest.mark.parametrize("name", ["put-hook", "put-hook+recycling", "put-hook~leak", "put-hook+recycling+debug~leak"])
def test_the_design_is_the_first_part_of_a_kernels_name(name: str) -> None:
    assert design_of(name) == "put-hook"


def test_what_sends_nothing_needs_no_page_that_can_be_mapped() -> None:
    nic = next(nic.name for nic in NICS.values() if not nic.mappable)
    assert predicted("stock", nic, "hold") is Predicted.ERROR
    assert predict(case_named("drivers/net/ping.py"), "stock", nic, "6.12.0") is Predicted.PASS
    assert predicted("stock", nic, "copy-control") is predicted("stock", nic, "sock-control") is Predicted.PASS
