# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.host.paths import project_root
from lab.kernels.build import builder
from lab.kernels.catalogue import CatalogueKernel, LocalKernel, resolve
from tests.unit.kernels.binaries import bzimage, vmlinux


def offered(release: str, line: str, flavour: str = "generic") -> CatalogueKernel:
    return CatalogueKernel(
        name=release,
        package=f"linux-image-{release}",
        version=release,
        line=line,
        flavour=flavour,
        size=1,
        design="stock",
        fetched=False,
        release=release,
        lacks=(),
        installed_size=1,
        deb_sha256="",
    )


KNOWN = (
    offered("6.1.0-55-amd64", "6.1"),
    offered("6.1.0-56-amd64", "6.1"),
    offered("6.12.115+deb12-amd64", "6.12"),
    offered("6.12.117+deb12-amd64", "6.12"),
    offered("6.12.117+deb12-cloud-amd64", "6.12", "cloud"),
)


def elsewhere(release: str, line: str, *, is_bare: bool = False) -> CatalogueKernel:
    version = f"{release.partition('+')[0]}-1"
    return replace(offered(release, line), version=version, archive="sid", is_bare=is_bare)


ELSEWHERE = (
    elsewhere("6.12.118+deb13-amd64", "6.12"),
    elsewhere("7.1.13+deb13-amd64", "7.1", is_bare=True),
    elsewhere("7.2.11+deb13-amd64", "7.2"),
    elsewhere("7.2.12+deb13-amd64", "7.2"),
    elsewhere("7.3.4+deb13-amd64", "7.3"),
    elsewhere("7.3.5+deb13-amd64", "7.3", is_bare=True),
)


def names(wanted: Sequence[str]) -> list[str]:
    return [k.name for k in resolve(wanted, known=KNOWN)]


def test_a_name_a_line_and_the_newest() -> None:
    assert names(["6.1", "6.12.115+deb12-amd64", "newest"]) == [
        "6.1.0-56-amd64",
        "6.12.115+deb12-amd64",
        "6.12.117+deb12-amd64",
    ]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("newest", "6.12.117+deb12-amd64"),
        ("6.12", "6.12.117+deb12-amd64"),
        ("6.1", "6.1.0-56-amd64"),
        ("6.12.118", "6.12.118+deb13-amd64"),
        ("7.2", "7.2.12+deb13-amd64"),
        ("7.2.11", "7.2.11+deb13-amd64"),
        ("7.1", "7.1.13+deb13-amd64"),
        ("7.3", "7.3.4+deb13-amd64"),
        ("7.3.5", "7.3.5+deb13-amd64"),
        ("newest-any", "7.3.4+deb13-amd64"),
        ("7.2.12+deb13-amd64", "7.2.12+deb13-amd64"),
    ],
)
def test_the_hosts_own_come_first_and_complete_ones_before_bare_ones(name: str, meant: str) -> None:
    for known in ((*KNOWN, *ELSEWHERE), (*ELSEWHERE, *KNOWN)):
        assert [k.name for k in resolve([name], known=known)] == [meant]


def test_the_same_kernel_by_two_names_is_taken_once() -> None:
    assert names(["6.12", "newest", "6.12.117+deb12-amd64"]) == ["6.12.117+deb12-amd64"]


def test_cloud_is_taken_by_its_own_name_only() -> None:
    assert names(["6.12.117+deb12-cloud-amd64"]) == ["6.12.117+deb12-cloud-amd64"]


def test_overlays_and_mutants_are_part_of_the_name_and_not_of_the_design() -> None:
    (kernel,) = resolve(["6.1@put-hook+recycling~leak"], known=KNOWN)
    assert (kernel.name, kernel.design) == ("6.1.0-56-amd64@put-hook+recycling~leak", "put-hook")


def test_a_design_is_part_of_the_name() -> None:
    (kernel,) = resolve(["6.1@precharge"], known=KNOWN)
    assert isinstance(kernel, CatalogueKernel)
    assert (kernel.name, kernel.design, kernel.release) == ("6.1.0-56-amd64@precharge", "precharge", "6.1.0-56-amd64")


def test_a_kernel_of_ones_own(tmp_path: Path) -> None:
    image, lib = tmp_path / "bzImage", tmp_path / "6.99.1-test"
    image.write_bytes(bzimage(b""))
    lib.mkdir()
    (lib / "modules.builtin").touch()
    typed = f"{image}:{lib}@put-hook"
    (kernel,) = resolve([typed], known=())
    assert kernel == LocalKernel("6.99.1-test@put-hook", image, lib, "6.99.1-test", "put-hook", typed)


def test_what_a_run_says_of_a_kernel_of_ones_own_names_it_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bzImage").write_bytes(bzimage(b""))
    for typed in ("./bzImage", "./bzImage@put-hook"):
        (kernel,) = resolve([typed], known=())
        assert isinstance(kernel, LocalKernel)
        assert kernel.typed == typed.replace(".", str(tmp_path), 1)
        monkeypatch.chdir("/")
        assert resolve([kernel.typed], known=()) == (kernel,)
        monkeypatch.chdir(tmp_path)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("#!/bin/sh")
    with pytest.raises(BadInput) as caught:
        names(["6.13", "6.12.117-deb12-amd64", "newest@stok", f"{tmp_path}/script:{tmp_path}", "/no/such"])
    assert [p.partition(" close")[0] for p in caught.value.problems] == [
        "kernel '6.13' is not known;",
        "kernel '6.12.117-deb12-amd64' is not known;",
        "design 'stok' is not known;",
        f"kernel {tmp_path}/script: neither a bzImage nor an x86-64 vmlinux.",
        f"modules {tmp_path}: not a lib/modules/RELEASE directory (it has no modules.builtin).",
        "kernel /no/such: there is no such file.",
    ]
    assert "6.12.117+deb12-amd64" in caught.value.problems[1]
    assert "lab kernels" in caught.value.hint


def test_a_name_that_is_being_built_is_told_so_and_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked by another process: a lock of this one would be its own."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    asking = (
        "from lab.errors import BadInput; from lab.kernels.catalogue import resolve\n"
        "from tests.unit.kernels.test_resolve import KNOWN\n"
        "try: resolve(['mine'], known=KNOWN)\n"
        "except BadInput as exc: print(exc.problems[0])"
    )

    def told() -> str:
        argv = [sys.executable, "-c", asking]
        return subprocess.run(argv, capture_output=True, text=True, check=True, cwd=project_root()).stdout

    with builder("mine", lambda _: None):
        assert told() == f"kernel 'mine' is being built by process {os.getpid()}: ask again when that has ended.\n"
    assert "'mine' is not known" in told()


def test_two_kernels_of_one_name_cannot_be_told_apart(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(vmlinux())
    with pytest.raises(BadInput, match="2 different kernels have this name"):
        resolve([str(tmp_path / "a"), str(tmp_path / "b")], known=())
