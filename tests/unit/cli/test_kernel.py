# SPDX-License-Identifier: GPL-2.0-only
"""`lab kernel`: what it says of what is built, on the small source of the builder's tests."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from lab.cli import complete
from lab.kernels import products
from lab.kernels.prune import Item, items, too_many
from tests.unit.cli.conftest import Lab
from tests.unit.damaged import flip
from tests.unit.kernels.sourcetree import change, repository

DAY = timedelta(days=1)
GUEST = "# why\nCONFIG_PVH=y\nCONFIG_NET=y\n"


@pytest.fixture(autouse=True)
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("lab.kernels.tree.TREE_SPACE", 0)
    monkeypatch.setattr("lab.kernels.build.OBJECTS_SPACE", 0)
    monkeypatch.setattr("lab.host.interrupt.end_in_order", lambda: None)
    monkeypatch.setattr("lab.kernels.recipes.images", lambda: tmp_path / "images")
    (tmp_path / "images" / "config").mkdir(parents=True)
    (tmp_path / "images" / "config" / "guest.config").write_text(GUEST)
    return repository(tmp_path / "linux")


@pytest.fixture
def built(lab: Lab, source: Path, tmp_path: Path) -> Path:
    (tmp_path / "net.patch").write_bytes(change(source, "net: another answer", {"net.c": ("return 2", "return 3")}))
    done = lab("kernel", "build", "--base", f"{source}#main", "--series", tmp_path / "net.patch", "--name", "mine")
    assert done.exit_code == 0, done.output
    assert "mine: 6.99.0-lab, 4 objects" in done.stdout
    return products.everything()[0].path


def test_a_second_build_is_a_look(lab: Lab, built: Path) -> None:
    again = lab("kernel", "build", "mine")
    assert (again.exit_code, "was there already" in again.stdout) == (0, True)


def test_list_and_show_tell_what_it_is_made_of(lab: Lab, built: Path) -> None:
    listed = lab("kernel", "list")
    assert "1 patch" in listed.stdout
    assert max(map(len, listed.stdout.splitlines())) <= 80
    (record,) = map(json.loads, lab("kernel", "list", "--json").stdout.splitlines())
    assert (record["name"], record["path"]) == ("mine", str(built))
    shown = lab("kernel", "show", "mine")
    assert shown.exit_code == 0
    assert "1. net: another answer" in shown.stdout
    assert "as recorded" in shown.stdout


@pytest.mark.parametrize("name", ["boot", "config", "kernel.json"])
def test_a_damaged_kernel_is_named_and_built_again(lab: Lab, built: Path, name: str) -> None:
    whole = (built / "boot").read_bytes()
    flip(built / name)
    again = lab("kernel", "build", "mine")
    assert again.exit_code == 0, again.output
    assert str(built / name) in again.stderr
    assert "is made again" in again.stderr
    assert (built / "boot").read_bytes() == whole
    assert "was there already" in lab("kernel", "build", "mine").stdout


def test_a_lock_beside_a_kernel_is_no_damaged_one(lab: Lab, built: Path) -> None:
    built.with_name(f"{built.name}.lock").touch()
    listed = lab("kernel", "list")
    assert listed.exit_code == 0
    assert "damaged" not in listed.output + listed.stderr


def test_show_notices_damage(lab: Lab, built: Path) -> None:
    (built / "boot").write_bytes(b"another")
    shown = lab("kernel", "show", "mine", "--json")
    assert shown.exit_code == 3
    assert json.loads(shown.stdout)["damage"] == ["boot is not what kernel.json says"]


def test_config_says_who_asked_and_what_lacks(lab: Lab, built: Path) -> None:
    told = lab("kernel", "config", "mine", "NET", "CONFIG_E1000E", "NOSUCH").stdout
    assert "CONFIG_NET=y" in told
    assert "asked for at guest.config:3" in told
    assert "CONFIG_E1000E=n" in told
    assert "no fragment asks for it" in told
    assert "no Kconfig file of this base has it" in told


def test_what_is_not_built_or_not_known_is_bad_input(lab: Lab, tmp_path: Path) -> None:
    assert lab("kernel", "show", "mine").exit_code == 2
    assert lab("kernel", "build").exit_code == 2
    assert lab("kernel", "build", "mine", "--name", "other").exit_code == 2
    unknown = lab("kernel", "build", "min", "6.99")
    assert (unknown.exit_code, unknown.stderr.count("is none that the lab builds")) == (2, 2)


def test_a_failed_build_leaves_no_name_and_no_product(lab: Lab, source: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.patch").write_bytes(change(source, "net: bad", {"net.c": ("return 2", "return two")}))
    failed = lab("kernel", "build", "--base", f"{source}#main", "--series", tmp_path / "bad.patch", "--name", "bad")
    assert failed.exit_code == 2
    assert "error: " in failed.stderr
    assert products.everything() == ()
    assert "Yours:    none" in lab("kernel", "list").stdout


def test_a_forgotten_name_means_nothing_but_what_was_built_stays(lab: Lab, source: Path, built: Path) -> None:
    wrong = lab("kernel", "forget", "mine", "min", "put-hook")
    assert (wrong.exit_code, wrong.stderr.count("no kernel was built with --name")) == (2, 2)
    assert "Yours:    mine" in lab("kernel", "list").stdout  # all or none
    assert [name for name, _ in complete.own_kernels("mi")] == ["mine"]

    assert lab("kernel", "forget", "mine").exit_code == 0
    assert "Yours:    none" in lab("kernel", "list").stdout
    assert lab("kernel", "build", "mine").exit_code == 2
    assert lab("kernel", "forget", "mine").exit_code == 2
    assert built.exists()


def test_prune_removes_what_is_old_but_nothing_in_use(lab: Lab, built: Path) -> None:
    assert "nothing to remove" in lab("kernel", "prune").stdout
    old = time.time() - 40 * 86400
    for item in items():
        for path in (item.path, item.path / "kernel.json", item.path / "lab.json", item.path / "tree"):
            if path.exists():
                os.utime(path, (old, old))
    would = lab("kernel", "prune", "--dry-run").stdout
    assert (would.count("would go: "), built.exists()) == (2, True)
    assert "stays (a running session uses it): kernel mine" in would  # this process has built it
    done = lab("kernel", "prune").stdout
    assert "removed: tree" in done
    assert built.exists()
    assert [item.kind for item in items()] == ["kernel"]


def item(kind: str, path: str, size: int, used: float) -> Item:
    return Item(kind, path, Path(path), size, used)  # type: ignore[arg-type]


def test_what_goes_when_there_is_too_much() -> None:
    new, old = item("kernel", "/k/new", 10, 100), item("kernel", "/k/old", 10, 50)
    tree, objects = item("tree", "/b/t", 100, 90), item("objects", "/b/t/tree/obj-1", 20, 90)
    other = item("objects", "/b/t/tree/obj-2", 20, 10)
    everything = (new, old, tree, objects, other)
    assert too_many(everything, DAY, None, 100) == ()
    assert too_many(everything, DAY, 140, 100) == (other,)
    assert too_many(everything, DAY, 50, 100) == (tree, objects, other)
    assert too_many(everything, timedelta(seconds=60), None, 100) == (other,)
    assert too_many(everything, timedelta(seconds=20), None, 100) == (old, other)
