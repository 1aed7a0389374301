# SPDX-License-Identifier: GPL-2.0-only
"""What guests boot from is what it is recorded as, or they do not boot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.contracts import BootableKernel, GuestImage
from lab.errors import HostTrouble
from lab.host.digests import seal, sha256_of
from lab.plan.case import STANDARD
from lab.plan.nics import NICS
from lab.provision.pair import PairRequest, provisioned
from lab.provision.sound import require_sound, unsound
from tests.unit.damaged import flip
from tests.unit.provision.guests import NoHypervisor

FILES = ("boot", "initrd", "image", "layer", "plugin/lab-insn.so")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "plugin").mkdir()
    paths = {name: tmp_path / name for name in FILES}
    for name, path in paths.items():
        path.write_bytes(name.encode() * 20_000)
    seal(tmp_path / "plugin")
    return paths


@pytest.fixture
def kernel(made: dict[str, Path]) -> BootableKernel:
    known = BootableKernel("k", made["boot"], made["initrd"], "6.12", "stock", sha256_of(made["boot"]), "")
    return replace(known, initrd_sha256=sha256_of(made["initrd"]))


@pytest.fixture
def image(made: dict[str, Path]) -> GuestImage:
    return GuestImage(made["image"], sha256_of(made["image"]), "key")


@pytest.fixture
def layer(made: dict[str, Path]) -> GuestImage:
    return GuestImage(made["layer"], sha256_of(made["layer"]), "own")


def test_what_is_well_boots(
    made: dict[str, Path], kernel: BootableKernel, image: GuestImage, layer: GuestImage
) -> None:
    for anew in (False, True):
        assert unsound(kernel, (image, layer), made["plugin/lab-insn.so"], anew=anew) == ()
    require_sound(kernel, (image, layer), None)


@pytest.mark.parametrize("name", FILES)
def test_what_is_damaged_is_named_and_does_not_boot(
    name: str, made: dict[str, Path], kernel: BootableKernel, image: GuestImage, layer: GuestImage, tmp_path: Path
) -> None:
    flip(made[name])
    (told,) = unsound(kernel, (image, layer), made["plugin/lab-insn.so"])
    assert str(made[name]) in told
    request = PairRequest(
        "p0000000", NICS["loopback"], STANDARD, kernel, image, "tcg", tmp_path / "captures", tmp_path / "s"
    )
    request = replace(request, plugin=made["plugin/lab-insn.so"], layer=layer)
    with pytest.raises(HostTrouble, match="is damaged") as caught, provisioned(NoHypervisor(), request):
        pass
    assert str(made[name]) in caught.value.message
    assert not (tmp_path / "captures").exists()


def test_a_kernel_of_an_older_plan_has_no_digest_of_its_initrd(
    made: dict[str, Path], kernel: BootableKernel, image: GuestImage, layer: GuestImage
) -> None:
    older = replace(kernel, initrd_sha256="")
    assert unsound(older, (image, layer), None) == ()
    require_sound(older, (image, layer), None)
