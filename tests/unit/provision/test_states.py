# SPDX-License-Identifier: GPL-2.0-only
"""Saved states on disk: found as they were saved, or not at all."""

from __future__ import annotations

import json
import os
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from lab.errors import HostTrouble
from lab.host import digests
from lab.provision.states import (
    RECORD,
    SavedState,
    damage,
    doomed,
    drop,
    find,
    folder_of,
    prune,
    seal,
    spare,
    store,
    stored,
)
from lab.units import MIB
from tests.unit.damaged import flip

HOUR = 3600.0


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))


def saved(key: str = "k1", boot: str = "b1", size: int = 4096) -> SavedState:
    partial = store() / f"{key}.partial"
    (partial / "captures").mkdir(parents=True)
    (partial / "captures" / "console.log").write_bytes(b"[    0.000000] Linux\n")
    for role in ("receiver", "sender"):
        (partial / f"{role}.ram").write_bytes(b"m" * size)
        (partial / f"{role}.state").write_bytes(b"s")
    state = SavedState(key, "0123abcd", "2026-11-25T00:00:00", {"boot": boot, "kernel": "6.12"})
    seal(partial, state)
    partial.rename(folder_of(key))
    return state


def test_a_state_is_found_as_it_was_saved() -> None:
    saved()
    found = find("k1")
    assert found is not None
    assert (found.born, found.about["kernel"]) == ("0123abcd", "6.12")
    assert sorted(found.digests) == [
        "captures/console.log",
        "receiver.ram",
        "receiver.state",
        "sender.ram",
        "sender.state",
    ]


def test_what_was_never_saved_is_not_found() -> None:
    assert find("k2") is None


FILES = ["receiver.ram", "sender.state", "captures/console.log"]


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_told_though_the_times_are_set_back(name: str) -> None:
    saved(size=2 * MIB)
    assert find("k1") is not None
    path = folder_of("k1") / name
    before = path.stat()
    flip(path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(HostTrouble, match=name):
        find("k1")


def test_what_is_remembered_of_a_file_is_not_asked_after_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a disk had lost a bit of it, which no time of the file tells."""
    saved(size=2 * MIB)
    state = find("k1")
    assert state is not None
    flip(folder_of("k1") / "receiver.ram")
    monkeypatch.setattr(digests, "_read_memo", lambda _: state.digests["receiver.ram"])
    assert "receiver.ram" not in damage(state)
    assert "receiver.ram" in damage(state, anew=True)


def test_a_state_that_was_touched_or_copied_is_what_it_was() -> None:
    saved(size=2 * MIB)
    os.utime(folder_of("k1") / "receiver.ram")
    folder_of("k1").rename(folder_of("k1").with_suffix(".away"))
    shutil.copytree(folder_of("k1").with_suffix(".away"), folder_of("k1"))
    assert find("k1") is not None


def test_a_sound_state_is_spared_once_and_again_after_it_served() -> None:
    state = saved()
    assert [spare("k1"), spare("k1")] == [True, False]
    state.touch()
    assert spare("k1")
    assert find("k1") is not None


@pytest.mark.parametrize("name", ["receiver.ram", "sender.state"])
def test_a_file_that_is_gone_is_told(name: str) -> None:
    saved()
    (folder_of("k1") / name).unlink()
    with pytest.raises(HostTrouble, match=name):
        find("k1")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 0}', '{"format": 2, "key": "k1"}'])
def test_a_record_that_cannot_be_read_is_told(text: str) -> None:
    saved()
    (folder_of("k1") / RECORD).write_text(text)
    with pytest.raises(HostTrouble, match=RECORD):
        find("k1")


def test_a_state_under_another_name_is_told() -> None:
    saved()
    folder_of("k1").rename(folder_of("k9"))
    with pytest.raises(HostTrouble, match="k1"):
        find("k9")


def test_a_dropped_state_is_gone_and_dropping_again_does_no_harm() -> None:
    saved()
    for _ in range(2):
        drop("k1")
        assert find("k1") is None
    assert list(store().iterdir()) == []


def test_states_are_listed_by_use_and_wrecks_removed() -> None:
    for number, key in enumerate(("k1", "k2", "k3")):
        saved(key)
        os.utime(folder_of(key) / "used", (number * HOUR, number * HOUR))
    (folder_of("k2") / RECORD).write_text("{")
    (store() / "k4.partial").mkdir()
    assert [state.key for state in stored()] == ["k3", "k1"]
    assert find("k2") is None
    assert (store() / "k4.partial").is_dir()  # somebody makes it


def test_age_then_size() -> None:
    now = 100 * HOUR
    states = [(now - HOUR, 300), (now - 2 * HOUR, 300), (now - 3 * HOUR, 300), (now - 50 * HOUR, 1)]
    assert doomed(states, now, timedelta(hours=10), 10_000) == [3]
    assert doomed(states, now, timedelta(hours=100), 601) == [2]  # the small old one fits beside the two
    assert doomed(states, now, timedelta(hours=100), 10_000) == []


def test_states_of_an_earlier_boot_go() -> None:
    saved("k1", boot="b1")
    saved("k2", boot="b2")
    assert [state.key for state, _ in prune(boot="b2")] == ["k1"]
    assert [state.key for state in stored()] == ["k2"]


def test_a_state_that_another_process_drops_meanwhile_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers that save at once both make room."""
    saved("k1", boot="b")
    saved("k2", boot="b")
    states = list(stored())
    drop("k1")
    monkeypatch.setattr("lab.provision.states.stored", lambda: iter(states))
    assert [(state.key, size) for state, size in prune(boot="b")] == [("k1", 0)]
    states[[state.key for state in states].index("k1")].touch()
    assert [folder.name for folder in store().iterdir()] == ["k2"]


def test_the_record_names_every_file() -> None:
    saved()
    record = json.loads((folder_of("k1") / RECORD).read_text())
    assert len(record["digests"]["receiver.ram"]) == 64
