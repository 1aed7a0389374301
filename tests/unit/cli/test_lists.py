# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import json

import pytest

from lab.cli import complete, nics
from lab.cli.listing import percent
from lab.cli.measure import Measured
from lab.experiments.found import all_cases
from lab.plan.nics import NICS
from tests.unit.cli.conftest import Lab

CASES = all_cases()


@pytest.fixture(autouse=True)
def _no_qemu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same list on every host."""
    monkeypatch.setattr("lab.provision.qemu.installed_qemu", lambda: None)


def test_cases_are_listed_with_their_claims_and_suites(lab: Lab) -> None:
    listed = lab("cases")
    assert listed.exit_code == 0
    assert max(map(len, listed.stdout.splitlines())) <= 80
    assert all(name in listed.stdout for name in (*CASES, "default", "fast", "stock"))
    records = [json.loads(line) for line in lab("cases", "--json").stdout.splitlines()]
    assert [r["case"] for r in records] == list(all_cases())
    assert records[0]["clients"][0]["behaviour"] == "hold"


@pytest.mark.parametrize("name", all_cases())
def test_a_case_is_printed_whole(lab: Lab, name: str) -> None:
    told, case = lab("cases", name), all_cases()[name]
    assert told.exit_code == 0
    said = " ".join(told.stdout.split())
    assert all(word in said for word in (case.claim[:60], case.source, *(c.name for c in case.clients)))
    assert all(rule.name in said for rule in case.rules)
    assert case.script.__code__.co_varnames[0] in said.partition("Steps")[2]
    assert case.file in "".join(told.stdout.split())
    (record,) = map(json.loads, lab("cases", name, "--json").stdout.splitlines())
    assert record["expect"]["stock"] == case.expect["stock"].value


def test_unknown_cases_are_told_at_once(lab: Lab) -> None:
    told = lab("cases", "holt", "hold", "zzz")
    assert told.exit_code == 2
    assert "did you mean hold?" in told.stderr
    assert "'zzz'" in told.stderr


def test_nics_are_listed_with_shares_and_what_this_host_lacks(lab: Lab) -> None:
    listed = lab("nics")
    assert max(map(len, listed.stdout.splitlines())) <= 80
    assert "mapped share 98..100 % (measured under TCG), floor 80 %" in listed.stdout
    assert "not here: no qemu-system-x86_64 on PATH" in listed.stdout
    (record,) = (json.loads(line) for line in lab("nics", "--nic", "igb", "--json").stdout.splitlines())
    assert (record["nic"], record["mappable"], record["runs_here"]) == ("igb", False, False)
    assert (record["measured_under"], record["min_qemu"]) == ("tcg", "8.0")


def test_a_measurement_says_under_which_accelerator_it_and_the_table_were_made() -> None:
    told = str(nics._measured_lines(Measured("virtio", (0.9, 0.9), accelerator="kvm"))[0])
    assert told == "measured 90 % under KVM, table 86..93 % under TCG, floor 25 %"


def test_all_unknown_profiles_are_told_at_once(lab: Lab) -> None:
    listed = lab("nics", "--nic", "virtio-tapp", "--nic", "e1000", "--nic", "zzz")
    assert listed.exit_code == 2
    assert "2 problems" in listed.stderr
    assert "did you mean virtio-tap" in listed.stderr
    assert "'zzz'" in listed.stderr


def test_measuring_skips_what_cannot_run_and_says_why(lab: Lab) -> None:
    measured = lab("nics", "--measure", "--nic", "igb", "--nic", "virtio")
    assert measured.exit_code == 3
    assert measured.stdout.count("skipped: no qemu-system-x86_64 on PATH") == 2
    (record,) = (json.loads(s) for s in lab("nics", "--measure", "--nic", "igb", "--json").stdout.splitlines())
    assert record["skipped"]
    assert record["shares"] == []


@pytest.mark.parametrize(
    ("row", "wrong", "code"),
    [
        (Measured("virtio", (0.9, 0.3)), "", 0),
        (Measured("virtio", (0.9, 0.2)), "below its floor", 1),
        (Measured("vmxnet3", (0.0, 0.001)), "", 0),
        (Measured("vmxnet3", (0.0, 0.3)), "maps, though it should not", 1),
        (Measured("virtio-jumbo", (0.0, 0.001), release="6.12.117"), "", 0),
        (Measured("virtio-jumbo", (0.46, 0.46), release="7.0.1"), "maps, though it should not", 1),
        (Measured("virtio-jumbo", (0.0, 0.0), release="7.3.4"), "below its floor", 1),
        (Measured("igb", skipped="no such model"), "", 3),
        (Measured("virtio", trouble="the guest is gone"), "", 3),
    ],
)
def test_what_a_measurement_means(row: Measured, wrong: str, code: int) -> None:
    assert row.wrong == wrong
    assert nics.code_of([row]) == code
    assert nics._measured_lines(row)
    assert row.as_record()["wrong"] == wrong


def test_shares_are_told_as_ranges() -> None:
    assert percent(0.47, 0.6) == "47..60 %"
    assert percent(0.25, 0.25) == "25 %"


def test_completion_offers_what_begins_alike() -> None:
    assert [name for name, _ in complete.nics("virtio-")] == ["virtio-mrg", "virtio-jumbo", "virtio-tap"]
    assert "default" in [name for name, _ in complete.suites_and_cases("de")]
    assert {name for name, _ in complete.nics("")} == set(NICS)


@pytest.mark.usefixtures("lab")  # an empty folder: nothing was run
def test_completion_never_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError

    monkeypatch.setattr("lab.kernels.catalogue.everything", broken)
    assert complete.kernels("6") == []
    assert complete.runs("") == complete.runs_and_sessions("") == []
