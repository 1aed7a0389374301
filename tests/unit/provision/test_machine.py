# SPDX-License-Identifier: GPL-2.0-only
"""Which machine type guests are, from QEMU's own words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.contracts import BootableKernel, GuestImage
from lab.pair.warm import about, key_for
from lab.plan.nics import NICS
from lab.provision.pair import PairRequest
from lab.provision.qemu import MACHINES, chosen_machine
from lab.trial.record import host_record
from suites.rx_zerocopy.case import SMALL
from tests.unit.provision.guests import NoHypervisor

ALIAS = "q35                  Standard PC (Q35 + ICH9, 2009) (alias of {})\n"
TYPE = "{:<20} Standard PC (Q35 + ICH9, 2009){}\n"
HEAD = "Supported machines are:\nmicrovm              microvm (i386)\n"
DEPRECATED = " (deprecated)"


def told(alias: str, *types: str) -> str:
    """What `-machine help` says: a type that ends in `!` is deprecated."""
    lines = [TYPE.format(name.rstrip("!"), DEPRECATED if name.endswith("!") else "") for name in types]
    return HEAD + ALIAS.format(alias) + "".join(lines)


@pytest.mark.parametrize(
    ("said", "chosen"),
    [
        (told("pc-q35-7.2", "pc-q35-7.2", "pc-q35-7.1"), "pc-q35-7.2"),
        (told("pc-q35-10.0", "pc-q35-10.0", "pc-q35-9.2", "pc-q35-7.2", "pc-q35-6.0!"), "pc-q35-7.2"),
        (told("pc-q35-11.1", "pc-q35-11.1", "pc-q35-10.0", "pc-q35-7.2!"), "pc-q35-10.0"),
        (told("pc-q35-14.0", "pc-q35-14.0", "pc-q35-10.0!"), "pc-q35-14.0"),
        (told("pc-q35-rhel9.4.0", "pc-q35-rhel9.4.0", "pc-q35-7.2.0"), "pc-q35-rhel9.4.0"),
        (HEAD, "q35"),
        ("", "q35"),
    ],
)
def test_the_first_that_was_tried_and_is_not_deprecated(said: str, chosen: str) -> None:
    assert chosen_machine(said) == chosen


def test_all_that_were_tried_have_a_version() -> None:
    assert all(name.startswith("pc-q35-") for name in MACHINES)


@pytest.mark.parametrize(
    ("changed", "value"),
    [("machine", "pc-q35-10.0"), ("versions", (7_002_022, 11_003_000)), ("versions", (10_000_003, 9_000_000))],
)
def test_a_state_is_of_one_machine_type_one_qemu_and_one_libvirt(
    changed: str, value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "qemu-system-x86_64").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    kernel = BootableKernel("k", Path("/k"), Path("/i"), "6.12", "stock", "0", "")
    image = GuestImage(Path("/u"), "0", "0")
    request: Any = PairRequest("p", NICS["virtio"], SMALL, kernel, image, "tcg", Path("/c"), Path("/s"))
    here, other = NoHypervisor(), NoHypervisor()
    setattr(other, changed, value)
    assert key_for(about(here, request)) != key_for(about(other, request))


def test_a_run_says_which_machine_type_it_ran_on() -> None:
    here = NoHypervisor()
    here.machine = "pc-q35-10.0"
    record = host_record(here, "tcg", "embedded", GuestImage(Path("/u"), "0", "0"))
    assert (record.machine, record.qemu, record.libvirt) == ("pc-q35-10.0", "7.2.22", "9.0.0")
