# SPDX-License-Identifier: GPL-2.0-only
"""Old bundles go; what is remembered of them stays, and so do the bundles that show a change."""

from __future__ import annotations

import datetime
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.archive import prune as module
from lab.archive.fill import catch_up
from lab.archive.index import Index, use_index
from lab.archive.keep import Stored, to_prune, wanted
from lab.archive.places import add_place
from lab.archive.prune import Pruned, prune, read_husk
from lab.archive.rows import PRUNED, BundleRow, RunRow
from lab.contracts import HUSK, MANIFEST
from lab.errors import BadInput
from lab.host.paths import cache_root
from lab.host.records import dump_record, load_record
from lab.plan.session import PLAN_FILE, load
from tests.unit.archive.stored import NEW, OLD, anew, asked, changed, write_results
from tests.unit.cli.conftest import write_run
from tests.unit.verdict.machine import KERNELS

GIB = 1024**3


def pruned(root: Path, keep_days: float = 0, most: int | None = None, *, dry_run: bool = False) -> Pruned:
    def work(index: Index) -> Pruned:
        catch_up(index, root)
        return prune(index, root, keep_days=keep_days, most=most, dry_run=dry_run)

    return use_index(root, work)


def history(words: str) -> Iterator[RunRow]:
    """Runs of one cell, a day each, by the first letters of their words."""
    told = {"P": "PASS", "F": "FAIL", "M": "MISS", "S": "SKIP", "E": "ERROR"}
    blank: dict[str, Any] = {name: "" for name in RunRow.__annotations__}
    for day, letter in enumerate(words, 1):
        yield RunRow(**{**blank, "key": str(day), "word": told[letter], "started": f"2026-01-{day:02}T00:00:00+00:00"})


@pytest.mark.parametrize(
    ("words", "stay"),
    [
        ("P", "1"),
        ("PPPP", "4"),
        ("PPFF", "2 3 4"),
        ("PFPP", "1 2 3 4"),
        ("PPMPP", "5"),  # the lab's trouble is no change of the kernel
        ("PPMFF", "2 4 5"),
        ("PPPM", "3 4"),  # the last, and the last that says something
        ("PPPS", "3 4"),
        ("PPEP", "2 3 4"),
        ("MM", "2"),
    ],
)
def test_both_sides_of_a_change_stay_and_the_last(words: str, stay: str) -> None:
    assert sorted(wanted(history(words))) == stay.split()


def test_cells_are_apart() -> None:
    runs = [replace(run, cell=cell, key=f"{cell}{run.key}") for cell in "ab" for run in history("PP")]
    assert sorted(wanted(runs)) == ["a2", "b2"]


def stored(days: int) -> list[Stored]:
    return [Stored(run, BundleRow("", "s", run.key, run.key, "there", 1, ""), 10) for run in history("P" * days)]


def test_the_oldest_go_first_until_it_fits() -> None:
    now, runs = datetime.datetime(2026, 1, 11, tzinfo=datetime.UTC), stored(10)

    def gone(**given: Any) -> str:  # noqa: ANN401 - the arguments of to_prune
        return " ".join(each.run.key for each in to_prune(runs, {"1": "", "10": ""}, now, **given))

    assert gone(keep_days=100, most=None) == ""
    assert gone(keep_days=7, most=None) == "2 3"
    assert gone(keep_days=100, most=70) == "2 3 4"
    assert gone(keep_days=7, most=90) == "2 3"
    assert gone(keep_days=0, most=0) == "2 3 4 5 6 7 8 9"  # those that stay, stay


def test_a_time_that_nobody_can_read_is_not_old() -> None:
    (each,) = stored(1)
    strange = replace(each, run=replace(each.run, started="yesterday"))
    now = datetime.datetime(2036, 1, 1, tzinfo=datetime.UTC)
    assert to_prune([strange], {}, now, keep_days=1, most=None) == ()
    assert to_prune([strange], {}, now, keep_days=1, most=0) == (strange,)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """`hold` FAILs, PASSes, PASSes, PASSes; of the other cells there is one run each."""
    root = tmp_path / "results"
    write_results(root)
    for day in (8, 9):
        bundle = write_run(root / NEW / f"hold.e1000e-split.{day:08}", "hold")
        changed(bundle, started=f"2026-01-{day:02}T00:00:00.000+00:00")
    return root


def middle(root: Path) -> Path:
    """The only bundle that may go."""
    return root / NEW / "hold.e1000e-split.00000008"


def test_the_bytes_go_and_the_rows_stay(root: Path) -> None:
    before = asked(root)
    done = pruned(root)
    assert [each.bundle.name for each in done.gone] == [middle(root).name]
    assert done.stay == 6
    assert [path.name for path in middle(root).iterdir()] == [HUSK]
    after = asked(root)
    assert {name: rows for name, rows in after.items() if name != "bundles"} == {
        name: rows for name, rows in before.items() if name != "bundles"
    }
    (row,) = [row for row in after["bundles"] if row[2] == middle(root).name]
    assert row[4] == PRUNED
    assert row[6].startswith("20")
    assert after == anew(root)
    assert pruned(root).gone == ()


def test_a_dry_run_removes_nothing(root: Path) -> None:
    files = sorted(root.glob("*/*/**/*"))
    assert [each.bundle.name for each in pruned(root, dry_run=True).gone] == [middle(root).name]
    assert sorted(root.glob("*/*/**/*")) == files
    assert pruned(root, keep_days=36500).gone == ()
    assert len(pruned(root, keep_days=36500, most=0).gone) == 1


def test_a_place_that_was_added_is_left_alone(root: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    add_place(tmp_path / "home", root)
    files = sorted(root.glob("*/*/**/*"))
    assert pruned(tmp_path / "home", most=0).gone == ()
    assert sorted(root.glob("*/*/**/*")) == files


def test_a_session_at_work_is_left_alone(root: Path) -> None:
    plan = load((root / NEW / PLAN_FILE).read_bytes(), cache_root())
    from lab.host.workers import registered
    from tests.unit.run.plans import written

    (sockets := root.parent / "sockets").mkdir()
    written(replace(plan, sockets=sockets, folder=root / NEW))
    pid = os.fork()
    if pid == 0:
        with registered(sockets, "gw0"):
            signal.pause()
    try:
        from datetime import timedelta

        from lab.units import Deadline, wait_until

        def there() -> tuple[bool | None, object]:
            told = list(sockets.glob("*.pid"))
            return (True if told and told[0].read_text() else None), told

        wait_until(there, deadline=Deadline.after("a worker", timedelta(seconds=20)))
        assert pruned(root, most=0).gone == ()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert len(pruned(root, most=0).gone) == 1


STEPS = ("write_whole", "_sync", "_empty", "os.unlink")


@pytest.mark.parametrize("step", range(12))
def test_kill_9_leaves_a_whole_bundle_or_a_husk(root: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = asked(root)
    done = 0

    def counted(what: Any) -> Any:  # noqa: ANN401 - wraps whatever touches the disk
        def call(*args: Any, **named: Any) -> Any:  # noqa: ANN401
            nonlocal done
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)
            done += 1
            return what(*args, **named)

        return call

    pid = os.fork()
    if pid == 0:
        for name in ("write_whole", "_sync", "_empty"):
            setattr(module, name, counted(getattr(module, name)))
        Path.unlink = counted(Path.unlink)  # type: ignore[method-assign]
        os.unlink = counted(os.unlink)
        pruned(root)
        os._exit(0)
    os.waitpid(pid, 0)
    whole = (middle(root) / MANIFEST).is_file()
    if not whole:
        assert read_husk(middle(root))[0].run.word == "PASS"
    assert {name: rows for name, rows in asked(root).items() if name != "bundles"} == {
        name: rows for name, rows in before.items() if name != "bundles"
    }
    assert asked(root) == anew(root)
    pruned(root)
    assert [path.name for path in middle(root).iterdir()] == [HUSK]


@pytest.mark.parametrize("damage", ["cut", "digit", "word", "large", "shape"])
def test_a_husk_that_is_not_what_was_written_is_told(root: Path, damage: str) -> None:
    pruned(root)
    husk = middle(root) / HUSK
    record = load_record(husk)
    told: dict[str, Any] = json.loads(json.dumps(record["told"]))
    told["run"]["word"] = "SPLENDID"
    changes = {
        "cut": husk.read_bytes()[:-40],
        "digit": husk.read_bytes().replace(b'"PASS"', b'"FAIL"'),
        "word": dump_record(record | {"told": told}),
        "large": b" " * 2_000_000,
        "shape": dump_record({"pruned": 7, "size": "x", "told": []}),
    }
    husk.write_bytes(changes[damage])
    with pytest.raises(BadInput, match=HUSK):
        read_husk(middle(root))
    use_index(root, lambda index: catch_up(index, root))
    rows = use_index(root, lambda index: index.take(BundleRow, "WHERE state = 'unread'"))
    assert [row.name for row in rows] == [middle(root).name]


def test_a_fail_that_nobody_repeated_stays(root: Path) -> None:
    (failed,) = (path for path in (root / OLD).glob("hold.*"))
    write_run(failed, "hold", kernel=KERNELS["stock"])
    pruned(root, most=0)
    assert (failed / MANIFEST).is_file()
