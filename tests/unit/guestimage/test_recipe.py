# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import BadInput, CommandFailed, FetchFailed, HostTrouble, LabError
from lab.guestimage.base import base_dir, explained, mmdebstrap_argv, parse_status
from lab.guestimage.build import the_recipe
from lab.guestimage.recipe import Recipe, load_recipe

RECIPE = Recipe(suite="bookworm", packages=("python3",), exclude=("/usr/share/doc/*",))


def test_our_own_recipe_can_be_read() -> None:
    assert "dropbear-bin" in the_recipe().packages


def test_all_problems_of_a_recipe_are_told(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('packages = "python3"\npakages = []\n')
    with pytest.raises(BadInput) as caught:
        load_recipe(path)
    assert {p.removeprefix(f"{path}: ").partition(":")[0] for p in caught.value.problems} == {
        "suite",
        "packages",
        "pakages",
    }


def test_a_recipe_that_is_no_toml_is_told_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("suite =")
    with pytest.raises(BadInput, match=r"recipe\.toml"):
        load_recipe(tmp_path / "recipe.toml")


def test_packages_are_made_anew_when_the_recipe_says_something_else() -> None:
    others = (
        RECIPE.model_copy(update={"suite": "trixie"}),
        RECIPE.model_copy(update={"packages": ("python3", "procps")}),
        RECIPE.model_copy(update={"exclude": ()}),
    )
    assert len({base_dir(r) for r in (RECIPE, *others)}) == 4
    assert base_dir(RECIPE) == base_dir(RECIPE.model_copy(update={"remove": ("boot",)}))


def test_the_mirror_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_MIRROR", raising=False)
    assert mmdebstrap_argv(RECIPE, tmp_path / "x.tar")[-2:] == ["bookworm", str(tmp_path / "x.tar")]
    monkeypatch.setenv("LAB_MIRROR", "http://mirror.example/debian")
    assert mmdebstrap_argv(RECIPE, tmp_path / "x.tar")[-1] == "http://mirror.example/debian"


def test_versions_are_read_from_dpkg_status() -> None:
    text = "Package: b\nStatus: installed\nVersion: 2-1\n\nPackage: a\nVersion: 1\nDescription: x\n Version: no\n"
    assert parse_status(text) == ["a 1", "b 2-1"]


@pytest.mark.parametrize(
    ("said", "kind", "hint"),
    [
        ("I: running\nE: Failed to fetch http://x\nE: mmdebstrap failed to run", FetchFailed, "LAB_MIRROR"),
        ("tar: root.tar: No space left on device\nE: setup failed", FetchFailed, "LAB_CACHE"),
        ("E: unable to pick chroot mode automatically", HostTrouble, "fakechroot"),
    ],
)
def test_failures_say_whose_fault_and_what_to_try(said: str, kind: type[LabError], hint: str) -> None:
    error = explained(CommandFailed(["mmdebstrap", "--long"], 25, said))
    assert isinstance(error, kind)
    assert hint in error.hint
    assert "--long" not in error.message
