# SPDX-License-Identifier: GPL-2.0-only
"""Names of kernels to build, against an images/kernels of our own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.kernels import recipes
from lab.kernels.base import Base
from lab.kernels.catalogue import CatalogueKernel, LocalKernel, resolve
from lab.kernels.naming import BuildName, parse_name
from lab.kernels.recipe import Recipe
from lab.kernels.reference import references

PATCH = "From: A <a@b>\nSubject: [PATCH] {0}\n\nDefect: d\n---\n"
PATCH += "diff --git a/{0} b/{0}\nnew file mode 100644\n--- /dev/null\n+++ b/{0}\n@@ -0,0 +1 @@\n+x\n"


@pytest.fixture(autouse=True)
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "images" / "kernels"
    for path in (
        "put-hook/6.12/0001-a",
        "put-hook/6.12/0002-b",
        "put-hook/7.3/0001-c",
        "recycling/0001-r",
        "mutants/put-hook/one",
        "mutants/put-hook+recycling/two",
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / f"{path}.patch").write_text(PATCH.format(Path(path).name))
    (root / "config").mkdir()
    (root / "config" / "guest.config").write_text("CONFIG_A=y\n")
    (root / "config" / "debug.config").write_text("# overlay\nCONFIG_A=n\n")
    (root / "config" / "odd.config").write_text("CONFIG_A=n\n")
    monkeypatch.setattr("lab.kernels.recipes.images", lambda: root)

    def found(spec: str, *, refresh: bool = False) -> Base:
        if spec.startswith("9"):
            raise BadInput([f"base {spec!r} is not known."])
        version = "" if spec == "odd" else f"{spec}.4-1"
        return Base(spec, "package", f"linux-source-{spec}", f"key of {spec}", f"linux-source-{spec}", version)

    monkeypatch.setattr("lab.kernels.recipes.find_base", found)
    return root


def one(name: str) -> Recipe:
    (kernel,) = resolve([name], known=())
    assert isinstance(kernel, Recipe)
    return kernel


def test_the_parts_of_a_name() -> None:
    assert parse_name("6.1:put-hook+recycling+debug~one") == BuildName("6.1", "put-hook", ("recycling", "debug"), "one")
    assert str(parse_name("6.12:stock")) == "stock"
    assert parse_name("put-hook/") is None


def test_series_overlays_and_mutant_come_in_order() -> None:
    kernel = one("put-hook+recycling+debug~two")
    assert [p.subject for p in kernel.series.patches] == ["0001-a", "0002-b", "0001-r", "two"]
    assert [Path(f.name).name for f in kernel.fragments] == ["guest.config", "debug.config"]
    assert (kernel.name, kernel.design, kernel.base.spec) == ("put-hook+recycling+debug~two", "put-hook", "6.12")
    assert kernel.options == "# CONFIG_A is not set\n"


def test_a_mutant_of_the_bare_design_goes_on_a_stacked_one_too() -> None:
    assert [p.subject for p in one("put-hook+recycling~one").series.patches][-1] == "one"
    assert list(map(str, recipes.mutants())) == ["put-hook~one", "put-hook+recycling~two"]


@pytest.mark.parametrize(
    ("base", "subjects"),
    [
        ("6.12", ["0001-a", "0002-b", "0001-r"]),
        ("6.18", ["0001-a", "0002-b", "0001-r"]),
        ("7.3", ["0001-c", "0001-r"]),
        ("7.10", ["0001-c", "0001-r"]),
    ],
)
def test_a_base_takes_the_newest_series_that_was_not_made_for_a_later_line(base: str, subjects: list[str]) -> None:
    assert [p.subject for p in one(f"{base}:put-hook+recycling").series.patches] == subjects


@pytest.mark.parametrize(("base", "version"), [("6.1", "6.1.4"), ("odd", "version not known")])
def test_a_base_that_no_series_was_made_for_is_told(base: str, version: str) -> None:
    with pytest.raises(BadInput) as caught:
        one(f"{base}:put-hook+recyling")
    assert caught.value.problems == (
        f"kernel {base}:put-hook+recyling: no series of put-hook is for linux-source-{base} ({version}); "
        "there are some for Linux 6.12, 7.3, and what comes after.",
        f"kernel {base}:put-hook+recyling: no overlay 'recyling'; there are debug, odd, recycling.",
    )


def test_stock_needs_no_patch_and_takes_another_base() -> None:
    assert one("6.1:stock").series.patches == ()
    assert one("6.1:stock").base.spec == "6.1"
    assert one("6.1:stock").name == "6.1:stock"


def test_a_kernel_may_be_expected_to_behave_like_another_design() -> None:
    assert (one("stock@put-hook").name, one("stock@put-hook").design) == ("stock@put-hook", "put-hook")
    assert one("put-hook@put-hook").name == "put-hook"


def test_every_mistake_in_every_name_is_told() -> None:
    with pytest.raises(BadInput) as caught:
        resolve(["put-hook+recyling~three", "precharge", "9.9:stock", "put-hook+odd", "put-hok"], known=())
    expected = (
        "kernel put-hook+recyling~three: no overlay 'recyling'; there are",
        "kernel put-hook+recyling~three: no mutant 'three'; there are one, two.",
        "kernel precharge: there is no series",
        "base '9.9' is not known.",
        f"{recipes.images()}/config/odd.config:1 asks for CONFIG_A=n, ",
        "kernel 'put-hok' is not known; close: ",
    )
    assert len(caught.value.problems) == len(expected)
    assert [told.startswith(words) for told, words in zip(caught.value.problems, expected, strict=True)] == [True] * 6


def test_a_kernel_of_ones_own_is_named_also_when_its_files_are_gone(images: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(images / "put-hook" / "6.12", mine)
    recipe = recipes.custom("6.1", str(mine), [images / "config" / "debug.config"], "mine-v2")
    recipes.remember(recipe)
    shutil.rmtree(mine)
    assert one("mine-v2") == recipe
    stacked = one("mine-v2+recycling@put-hook")
    assert [p.subject for p in stacked.series.patches] == ["0001-a", "0002-b", "0001-r"]
    assert (stacked.design, stacked.base.spec) == ("put-hook", "6.1")


def test_all_that_is_wrong_with_a_kernel_of_ones_own_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        recipes.custom("9.9", str(tmp_path / "no.mbox"), [tmp_path / "no.config"], "stock")
    assert caught.value.problems == (
        "base '9.9' is not known.",
        f"{tmp_path}/no.mbox: there is no such file.",
        f"{tmp_path}/no.config: there is no such file.",
        "--name 'stock': that is a design; choose another name.",
    )


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("put-hook", "stock"),
        ("6.18:put-hook+recycling+debug~one", "6.18:stock+recycling+debug"),
        ("put-hook@precharge", "stock"),
        ("stock+debug", "stock+debug"),
    ],
)
def test_a_kernel_is_compared_with_the_same_without_its_design(name: str, reference: str) -> None:
    kernel = one(name)
    assert references([kernel]) == {kernel.name: one(reference)}


def local(name: str, design: str) -> LocalKernel:
    return LocalKernel(name, Path(f"/{name}"), None, name, design)


def test_a_kernel_from_a_path_is_compared_with_a_stock_one_that_no_distribution_built() -> None:
    shipped = CatalogueKernel("6.12.1@x", "p", "1", "6.12", "generic", 1, "x", False, "6.12.1", (), 1, "")
    stock, mine = local("plain", "stock"), local("mine", "precharge")
    found = references([shipped, mine, stock])
    assert found["mine"] == found["plain"] == stock
    assert (found["6.12.1@x"].name, found["6.12.1@x"].design) == ("6.12.1", "stock")
    assert references([shipped, mine], one("put-hook")) == dict.fromkeys(("6.12.1@x", "mine"), one("put-hook"))


def test_every_kernel_without_anything_to_compare_with_is_named() -> None:
    with pytest.raises(BadInput) as caught:
        references([local("mine", "precharge"), one("put-hook"), local("yours", "put-hook")])
    assert [line.split()[1] for line in caught.value.problems] == ["mine:", "yours:"]
    assert "--reference" in caught.value.hint
    own = replace(one("put-hook"), name="own")
    assert references([own, one("stock")])["own"] == one("stock")
