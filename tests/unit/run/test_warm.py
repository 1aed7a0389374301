# SPDX-License-Identifier: GPL-2.0-only
"""Restored pairs: what makes a state another one, and what makes a pair unfit."""

from __future__ import annotations

import contextlib
import errno
import json
import re
import resource
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab.contracts import BootableKernel, GuestImage
from lab.errors import Fault, GuestLost, HostTrouble, LabTrouble
from lab.evidence.memory import EXPLAINED
from lab.evidence.model import Sample
from lab.experiments.found import case_named
from lab.host.size import cpu_of
from lab.pair.booted import booted_pair, times_too_fast
from lab.pair.ready import ReadyPair
from lab.pair.timeline import Timeline
from lab.pair.warm import (
    CannotSaveError,
    RestoreError,
    _fill,
    _found,
    _given_up,
    about,
    changes,
    fell_short,
    key_for,
    restored,
    warm_pair,
)
from lab.plan.commands import wake_order
from lab.plan.limits import ran_ahead
from lab.plan.names import LinkAddress
from lab.plan.nics import NICS
from lab.provision import states
from lab.provision.pair import PairRequest
from lab.provision.states import RECORD, cannot_save
from lab.units import MIB
from suites.rx_zerocopy.case import SMALL
from tests.unit.damaged import flip
from tests.unit.provision.guests import NoHypervisor

NONE: Any = None
KERNEL = BootableKernel("k", Path("/k"), Path("/i"), "6.12", "stock", "0", "")
IMAGE = GuestImage(Path("/u"), "0", "0")


def seen(trouble: LabTrouble, fault: Fault) -> LabTrouble:
    """Trouble, with what the host saw of the guests before they were ended."""
    trouble.add_seen([fault])
    return trouble


FACTS = {"kernel_sha256": "a", "nic": "virtio", "boot": "b"}


@pytest.mark.parametrize("name", FACTS)
def test_every_fact_makes_another_key(name: str) -> None:
    assert key_for(FACTS) != key_for({**FACTS, name: "other"})
    assert key_for(FACTS) == key_for(dict(reversed(FACTS.items())))


CPUINFO = Path("/proc/cpuinfo").read_text()


def test_a_host_that_was_moved_to_another_cpu_has_other_states() -> None:
    """boot_id stays; platform.processor(), "" on many hosts, was all that told them apart."""
    here = cpu_of(CPUINFO)
    assert here.strip()
    assert cpu_of(CPUINFO.replace("\nflags\t\t: ", "\nflags\t\t: amx_tile ")) != here
    assert cpu_of(re.sub("(?m)^cpu MHz.*$", "cpu MHz\t\t: 1.000", CPUINFO)) == here
    assert cpu_of("model name\t: A\nmicrocode\t: 0x1\n") != cpu_of("model name\t: A\nmicrocode\t: 0x2\n")
    assert cpu_of("") != here


def test_the_cpu_is_part_of_a_states_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.processor", lambda: "")
    request: Any = PairRequest("p", NICS["virtio"], SMALL, KERNEL, IMAGE, "kvm", Path("/c"), Path("/s"))
    assert about(NoHypervisor(), request)["cpu"] == cpu_of(CPUINFO)


def test_a_states_key_is_that_of_image_and_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.processor", lambda: "")
    request: Any = PairRequest("p", NICS["virtio"], SMALL, KERNEL, IMAGE, "kvm", Path("/c"), Path("/s"))
    layers = [None, GuestImage(Path("/l"), "1", "l"), GuestImage(Path("/l"), "2", "l")]
    keys = [key_for(about(NoHypervisor(), replace(request, layer=layer))) for layer in layers]
    other = replace(request, layer=layers[1], image=replace(IMAGE, sha256="9"))
    assert len({*keys, key_for(about(NoHypervisor(), other))}) == 4


def sample(t: float) -> Sample:
    meminfo = dict.fromkeys((key for key, _ in EXPLAINED), 0)
    return Sample(t, 0, {**meminfo, "MemTotal": 700 * MIB, "MemFree": 600 * MIB}, {}, {}, 0, 0, {})


def grown(before: Sample, size: int) -> Sample:
    return replace(before, meminfo={**before.meminfo, "MemFree": before.meminfo["MemFree"] - size})


def test_a_receiver_as_it_was_saved_is_fit() -> None:
    saved = sample(1.0)
    assert changes(saved, replace(grown(saved, MIB), t=2.0)) == []


@pytest.mark.parametrize("size", [9 * MIB, -9 * MIB])
def test_memory_that_came_or_went_is_told(size: int) -> None:
    saved = sample(1.0)
    (problem,) = changes(saved, grown(saved, size))
    assert "unexplained memory" in problem


def test_every_change_is_told() -> None:
    saved = sample(5.0)
    group: Any = object()
    now = replace(sample(4.0), cgroups={"abuser": group}, meminfo={**saved.meminfo, "MemTotal": MIB, "MemFree": MIB})
    told = "; ".join(changes(saved, now))
    for part in ("unexplained memory", "cgroups of the receiver: abuser", "clock went back", "other memory"):
        assert part in told


def test_the_order_to_wake() -> None:
    link = LinkAddress("198.18.1.2", "fd6c::2")
    assert wake_order(5, b"\x01\xff" * 16, b"\xab", "AAAA", "52:54:00:00:00:01", link) == (
        f"wake 5 {'01ff' * 16} ab 52:54:00:00:00:01 198.18.1.2 fd6c::2 AAAA"
    )
    assert wake_order(5, bytes(32), b"k", "AAAA").endswith(" - - - AAAA")


@pytest.mark.parametrize(("guest", "host", "fast"), [(1.0, 0.9, False), (13.0, 10.0, False), (14.0, 10.0, True)])
def test_a_clock_that_runs_away(guest: float, host: float, *, fast: bool) -> None:
    assert bool(ran_ahead(guest, host)) is fast


def test_a_clock_is_set_against_the_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 110.0)
    assert times_too_fast((4.0, 100.0), b"14.3 9.0\n") == 0
    assert times_too_fast((4.0, 100.0), b"44.3 9.0\n") == pytest.approx(4.03)


@dataclass
class Boots:
    """Stands for `ready_pair`: each boot has the next of these clocks, in guest seconds for ten of the host's."""

    clocks: list[float]
    request: Any
    living: int = 0

    @contextlib.contextmanager
    def __call__(self, *_args: object) -> Iterator[ReadyPair]:
        assert not self.request.captures.exists()
        assert self.living == 0
        self.request.captures.mkdir()
        if self.request.saving:
            assert not any(self.request.saving.iterdir())
            (self.request.saving / "receiver.ram").touch()
        clock, self.living = self.clocks.pop(0), 1
        shell: Any = SimpleNamespace(check=lambda _argv: f"{clock} 0.0\n".encode())
        guest = SimpleNamespace(signals=SimpleNamespace(clock=(0.0, 100.0)))
        pair: Any = SimpleNamespace(
            guests={"receiver": guest}, request=SimpleNamespace(tested="receiver", traffic=None, nic=None)
        )
        try:
            yield ReadyPair(pair, {"receiver": shell}, threading.Condition())
        finally:
            self.living = 0


@pytest.mark.parametrize(
    ("clocks", "again"), [([10.0], 0), ([40.0, 10.0], 1), ([40.0, 40.0, 10.0], 2), ([40.0, 40.0, 40.0], 2)]
)
def test_a_pair_whose_clock_runs_away_is_booted_again(
    clocks: list[float], again: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 110.0)
    request: Any = SimpleNamespace(captures=tmp_path / "pair", saving=None)
    boots = Boots(list(clocks), request)
    monkeypatch.setattr("lab.pair.booted.ready_pair", boots)
    with booted_pair(NONE, request, lambda _: None) as ready:
        assert boots.living == 1
        assert ready.note.count("booted again: the receiver's clock runs 4.0 times too fast") == again
        assert bool(ready.fast_clock) is (clocks[-1] == 40.0)
    assert (boots.living, boots.clocks) == (0, [])


def test_a_host_whose_guests_never_keep_time_saves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 110.0)
    request: Any = SimpleNamespace(captures=tmp_path / "pair", saving=tmp_path / "partial")
    request.saving.mkdir()
    boots = Boots([40.0, 40.0, 40.0], request)
    monkeypatch.setattr("lab.pair.booted.ready_pair", boots)
    with pytest.raises(CannotSaveError, match=r"4\.0 times too fast, 3 times over"):
        _fill(NONE, request, NONE, request.saving, lambda _: None, Timeline())
    assert (boots.living, boots.clocks) == (0, [])


def test_who_is_told_of_restoring_finds_how_the_guests_booted(tmp_path: Path) -> None:
    state: Any = SimpleNamespace(folder=tmp_path, captures=tmp_path / "captures")
    request: Any = SimpleNamespace(captures=tmp_path / "pair")
    (state.captures / "receiver").mkdir(parents=True)
    (state.captures / "receiver" / "console.log").write_text("Linux version 6.12\n")
    (tmp_path / RECORD).write_text("{}")

    def interrupt(_what: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), restored(NONE, request, state, interrupt, Timeline()):
        pass
    assert (request.captures / "receiver" / "console.log").read_text() == "Linux version 6.12\n"


KILLED = Fault("qemu-exit", "sender", "its QEMU process ended from outside")


@pytest.mark.parametrize(
    ("trouble", "fate"),
    [
        (HostTrouble("QEMU cannot restore receiver.state: section footer error"), "dropped"),
        (seen(GuestLost("gone"), KILLED), "kept"),
        (seen(GuestLost("gone"), Fault("frozen", "sender", "its QEMU was stopped for 22.0 s")), "kept"),
        (seen(HostTrouble("no descriptor"), Fault("host", "sender", "libvirt cannot start it")), "kept"),
        (seen(GuestLost("gone"), Fault("flood", "sender", "40 MiB")), "dropped"),
        (OSError(errno.ENOSPC, "No space left on device"), "kept"),
        (OSError(errno.EMFILE, "Too many open files"), "kept"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "kept"),
        (OSError(errno.EIO, "Input/output error"), "dropped"),
    ],
)
def test_a_state_is_dropped_for_what_is_wrong_with_it_alone(
    trouble: Exception, fate: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Restoring ends in trouble, not for the first time; the run gets a pair that boots."""

    def restoring(*_args: object) -> None:
        raise trouble

    @contextlib.contextmanager
    def boots(*_args: object) -> Iterator[ReadyPair]:
        yield ReadyPair(NONE, {}, threading.Condition())

    dropped: list[str] = []
    request: Any = SimpleNamespace(captures=tmp_path / "pair")
    for name, stand_in in {
        "about": lambda *_: FACTS,
        "_found": lambda _: object(),
        "_bring_captures": restoring,
        "booted_pair": boots,
        "drop": dropped.append,
    }.items():
        monkeypatch.setattr(f"lab.pair.warm.{name}", stand_in)
    monkeypatch.setattr(states, "spare", lambda _: False)
    with warm_pair(NONE, request, lambda _: None) as ready:
        assert f"the state {key_for(FACTS)} " in ready.note
        assert f"was {fate}: " in ready.note
        assert all(fault.detail in ready.note for fault in getattr(trouble, "seen", ()))
    assert dropped == ([key_for(FACTS)] if fate == "dropped" else [])


def test_a_pair_that_was_stopped_while_it_was_made_is_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that are restored from it would have its console."""
    monkeypatch.setattr("time.monotonic", lambda: 110.0)
    request: Any = SimpleNamespace(captures=tmp_path / "pair", saving=tmp_path / "partial")
    request.saving.mkdir()
    monkeypatch.setattr("lab.pair.booted.ready_pair", Boots([10.0], request))
    monkeypatch.setattr(ReadyPair, "troubles", lambda _: (Fault("frozen", "sender", "its QEMU was stopped"),))
    with pytest.raises(CannotSaveError, match="frozen: its QEMU was stopped"):
        _fill(NONE, request, NONE, request.saving, lambda _: None, Timeline())


@pytest.mark.parametrize(
    ("mapped", "nic", "release", "told"),
    [
        (900, "e1000e-split", "6.12.117", ""),
        (360, "e1000e-split", "6.12.117", "came to 36%, the floor of e1000e-split is 80%"),
        (0, "e1000e-split", "6.12.117", "came to 0%"),
        (0, "vmxnet3", "6.12.117", ""),
        (0, "virtio-jumbo", "6.12.117", ""),
        (0, "virtio-jumbo", "7.3.4", "came to 0%"),
    ],
)
def test_a_pair_whose_preflight_fell_short_is_not_saved(
    tmp_path: Path, mapped: int, nic: str, release: str, told: str
) -> None:
    """Every run that is restored from it would have nothing to measure."""
    request: Any = SimpleNamespace(captures=tmp_path, traffic=case_named("hold").traffic, nic=NICS[nic])
    request.kernel = SimpleNamespace(release=release)
    line = {"t": 1.0, "event": "done", "delivered": 1000, "mapped": mapped}
    kept = tmp_path / "preflight" / "client"
    kept.mkdir(parents=True)
    (kept / "preflight.jsonl").write_text(json.dumps(line) + "\n")
    pair: Any = SimpleNamespace(request=request)
    why = fell_short(ReadyPair(pair, {}, threading.Condition()))
    assert told in why
    assert bool(why) == bool(told)


def test_states_stay_where_qemu_runs_as_this_user() -> None:
    assert cannot_save("embed") == ""
    assert "qemu+ssh://h/system" in cannot_save("qemu+ssh://h/system")


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> states.SavedState:
    """A state on disk."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    state = states.SavedState("k1", "0123abcd", "", {"boot": "b"})
    partial = states.store() / "k1.partial"
    partial.mkdir(parents=True)
    (partial / "receiver.ram").write_bytes(bytes(MIB))
    states.seal(partial, state)
    partial.rename(state.folder)
    return states.find("k1") or state


def test_a_state_that_is_as_it_was_saved_outlives_a_qemu_that_was_killed(kept: states.SavedState) -> None:
    killed = RestoreError("its QEMU process ended from outside", by_state=False)
    assert "is as it was saved, and was kept" in _given_up(kept.key, killed, "")
    assert states.find(kept.key) is not None
    assert "was dropped" in _given_up(kept.key, killed, "")  # twice in a row is no accident
    assert states.find(kept.key) is None


def test_a_state_that_is_unfit_is_dropped_at_once(kept: states.SavedState) -> None:
    assert "was dropped: it drifts" in _given_up(kept.key, RestoreError("it drifts"), "")
    assert states.find(kept.key) is None


def test_a_damaged_state_is_dropped_with_the_file_named(kept: states.SavedState) -> None:
    flip(kept.folder / "receiver.ram")
    told = _given_up(kept.key, RestoreError("no answer", by_state=False), "")
    assert "receiver.ram is not as it was saved" in told
    assert not kept.folder.exists()


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """A process that may open nothing more; for real, so that what it is told is what a kernel says."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_host_without_descriptors_cannot_call_a_state_damaged(kept: states.SavedState) -> None:
    with no_descriptors():
        with pytest.raises(states.UnreadError, match=r"receiver\.ram cannot be read now"):
            states.damage(kept, anew=True)
        with pytest.raises(RestoreError) as caught:
            _found(kept.key)
        told = _given_up(kept.key, caught.value, "")
    assert "was kept" in told
    assert "Too many open files" in told
    assert states.find(kept.key) is not None


def test_states_that_cannot_be_read_now_are_no_rubbish(
    kept: states.SavedState, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(_path: Path) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(states, "load_record", lacking)
        assert list(states.stored()) == []
    assert list(states.stored()) == [states.find(kept.key)]


NO_MEMORY_FILE = "can't open backing store /c/states/k.partial/receiver.ram for guest RAM: Permission denied"


@pytest.mark.parametrize(("trouble", "boots"), [(NO_MEMORY_FILE, True), ("libvirt cannot start it: no memory", False)])
def test_a_host_that_refuses_memory_in_files_boots_its_pairs(
    trouble: str, *, boots: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As SELinux does. It used to cost the run."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    monkeypatch.setattr("lab.pair.warm.about", lambda *_: FACTS)
    request = PairRequest("p", NICS["virtio"], SMALL, KERNEL, IMAGE, "tcg", tmp_path / "pair", tmp_path / "s")

    @contextlib.contextmanager
    def ready_pair(_h: object, wanted: PairRequest, *_args: object) -> Iterator[ReadyPair]:
        if wanted.saving:
            raise HostTrouble(trouble)
        guest = SimpleNamespace(signals=SimpleNamespace(clock=(0.0, 0.0)))
        shell: Any = SimpleNamespace(check=lambda _argv: b"1.0 0.0\n")
        pair: Any = SimpleNamespace(guests={"receiver": guest})
        yield ReadyPair(pair, {"receiver": shell}, threading.Condition())

    monkeypatch.setattr("lab.pair.booted.ready_pair", ready_pair)
    monkeypatch.setattr("lab.pair.warm._require_disk", lambda _: None)
    expected = contextlib.nullcontext() if boots else pytest.raises(HostTrouble, match="no memory")
    with expected, warm_pair(NONE, request, lambda _: None) as ready:
        assert "QEMU may not keep memory in a file" in ready.note
        assert str(states.store()) in ready.note
    assert not list(states.store().glob("*.partial"))
