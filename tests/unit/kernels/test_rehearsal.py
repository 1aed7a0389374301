# SPDX-License-Identifier: GPL-2.0-only
"""What `lab kernel build --dry-run` says, and that it leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.kernels.base import Base, find_base
from lab.kernels.delivered import from_mbox
from lab.kernels.fragments import Fragment
from lab.kernels.recipe import Recipe
from lab.kernels.rehearsal import FITS, UNKNOWN, rehearsed
from tests.unit.kernels.sourcetree import git
from tests.unit.kernels.trees import Trees


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))


def recipe(base: Base, data: bytes) -> Recipe:
    return Recipe("mine", "stock", base, from_mbox(data, "x.mbox"), (Fragment("f", "CONFIG_A=y\n"),))


def objects(trees: Trees) -> str:
    return git(trees.root, "count-objects", "-v") + git(trees.root, "for-each-ref")


def test_it_says_what_goes_on_what_and_whether_it_fits(trees: Trees) -> None:
    before = objects(trees)
    base = find_base(f"{trees.root}#{trees.base}")
    rows = dict(rehearsed(recipe(base, b"\n".join(trees.patches))))
    assert [line.partition(" (")[0].strip() for line in rows["series"]] == [
        "1. net: one", "2. mm: two", "3. net: three", FITS,
    ]  # fmt: skip
    assert rows["base"][1] == trees.base
    assert rows["build"] == ["would be built"]
    with pytest.raises(BadInput, match="does not apply"):
        dict(rehearsed(recipe(base, trees.patches[2])))
    assert objects(trees) == before


def test_what_is_not_on_this_disk_is_not_guessed(trees: Trees) -> None:
    away = Base("9.9", "package", "linux-source-9.9", "k", "linux-source-9.9", "9.9.1-1")
    rows = dict(rehearsed(recipe(away, trees.patches[0])))
    assert rows["series"][-1] == UNKNOWN
    assert rows["base"][0] == "linux-source-9.9 (9.9.1)"
