# SPDX-License-Identifier: GPL-2.0-only
"""A pair is watched from the host's side: real processes stand for its QEMUs, and do as they may."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lab.errors import Fault, LabTrouble
from lab.plan.channels import Cap
from lab.provision.growing import Growing
from lab.provision.guest import Signals
from lab.provision.hypervisor import Death
from lab.provision.process import Emulator, find_emulator
from lab.provision.watch import Watch, Watched
from lab.units import MIB, Deadline, wait_until

NAME = "lab-0123abcd-receiver"
IDLE = "import time; time.sleep(600)"
CAP = Cap("telemetry", size=MIB, rate=1000, lines=1000, line_rate=10, width=1000)


def soon(what: str) -> Deadline:
    return Deadline.after(what, timedelta(seconds=20))


@contextlib.contextmanager
def process(*argv: str) -> Iterator[subprocess.Popen[bytes]]:
    """One that is gone when the block ends."""
    with subprocess.Popen(argv) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.fixture
def qemu() -> Iterator[subprocess.Popen[bytes]]:
    """Named as libvirt names a QEMU; it does nothing."""
    with process(sys.executable, "-c", IDLE, "-name", f"guest={NAME},debug-threads=on") as running:
        yield running


@pytest.fixture
def telemetry(tmp_path: Path) -> Path:
    path = tmp_path / "telemetry.jsonl"
    path.write_bytes(b"{}\n")
    return path


def watched(qemu: subprocess.Popen[bytes], telemetry: Path, signals: Signals | None = None) -> Watched:
    captures = (Growing(telemetry, CAP),)
    return Watched("receiver", Emulator.of(qemu.pid), captures, signals or Signals(), qemu.terminate)


def flood(telemetry: Path) -> None:
    """Three times what it may carry at once."""
    with telemetry.open("ab") as file:
        file.write(b"{}\n" * MIB)


def first_of(watch: Watch) -> Fault:
    """What the watch tells first."""
    return wait_until(lambda: (next(iter(watch.troubles()), None), "no trouble"), deadline=soon("trouble"))


def gone(qemu: subprocess.Popen[bytes]) -> int:
    """How it ended."""
    return qemu.wait(20)


def test_a_qemu_is_found_by_the_name_of_its_domain(qemu: subprocess.Popen[bytes]) -> None:
    found = wait_until(lambda: (find_emulator(NAME), "none"), deadline=soon("its argv"))
    assert found.pid == qemu.pid
    found.close()
    assert find_emulator(NAME[:-1]) is None


def test_a_quiet_guest_gives_no_trouble(qemu: subprocess.Popen[bytes], telemetry: Path) -> None:
    with Watch() as watch, watch.over(watched(qemu, telemetry)):
        assert watch.troubles() == ()
    assert watch.troubles() == ()
    assert qemu.poll() is None


def test_a_stop_is_told_once_it_is_long_and_when_it_is_over(qemu: subprocess.Popen[bytes], telemetry: Path) -> None:
    with Watch() as watch, watch.over(watched(qemu, telemetry)):
        qemu.send_signal(signal.SIGSTOP)
        during = first_of(watch)
        qemu.send_signal(signal.SIGCONT)
        after = first_of(watch)
        assert (during.kind, during.guest) == (after.kind, after.guest) == ("frozen", "receiver")
        assert "its QEMU was stopped for 1." in during.detail
        wait_until(lambda: (watch.troubles() == () or None, "still stopped"), deadline=soon("it to go on"))


def test_a_process_that_waits_for_a_cpu_is_seen_to() -> None:
    """Two that would never give up one CPU share it: each waits half of its time."""
    busy = (sys.executable, "-c", "while True: pass")
    cpu = min(os.sched_getaffinity(0))
    with process(*busy) as one, process(*busy) as two:
        for running in (one, two):
            os.sched_setaffinity(running.pid, {cpu})
        emulator = Emulator.of(one.pid)
        start = emulator.look()

        def waited() -> tuple[float | None, object]:
            now = emulator.look()
            share = (now.waited - start.waited) / max(now.t - start.t, 0.001)
            return (share if now.waited - start.waited > 0.5 else None), now

        assert 0.1 < wait_until(waited, deadline=soon("half a second of waiting")) <= 1
        emulator.close()


def test_a_flood_of_a_file_ends_the_guest(qemu: subprocess.Popen[bytes], telemetry: Path) -> None:
    with Watch() as watch, watch.over(watched(qemu, telemetry)):
        flood(telemetry)
        assert gone(qemu) == -signal.SIGKILL
        (fault,) = watch.troubles()
        assert (fault.kind, fault.guest) == ("flood", "receiver")
        assert fault.detail.startswith("the telemetry was given more than 1.0 MiB at once")
        assert watch.troubles() == ()


def test_a_flood_of_the_ready_port_ends_the_guest(qemu: subprocess.Popen[bytes], telemetry: Path) -> None:
    signals = Signals(flood="the ready port was given too much")
    with Watch() as watch, watch.over(watched(qemu, telemetry, signals)):
        assert gone(qemu) == -signal.SIGKILL
        assert [fault.kind for fault in watch.troubles()] == ["flood"]


def test_a_qemu_of_another_user_is_ended_by_libvirt(
    qemu: subprocess.Popen[bytes], telemetry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Emulator) -> None:
        raise PermissionError

    monkeypatch.setattr(Emulator, "end", refused)
    with Watch() as watch, watch.over(watched(qemu, telemetry)):
        flood(telemetry)
        assert gone(qemu) == -signal.SIGTERM


def test_a_stopped_guest_that_flooded_is_ended_all_the_same(qemu: subprocess.Popen[bytes], telemetry: Path) -> None:
    with Watch() as watch, watch.over(watched(qemu, telemetry)):
        qemu.send_signal(signal.SIGSTOP)
        flood(telemetry)
        assert gone(qemu) == -signal.SIGKILL


def test_a_capture_that_was_cut_is_told_and_the_guest_goes_on(qemu: subprocess.Popen[bytes], telemetry: Path) -> None:
    with Watch() as watch, watch.over(watched(qemu, telemetry)):
        os.truncate(telemetry, 0)
        fault = first_of(watch)
        assert (fault.kind, fault.guest) == ("host", "receiver")
        assert "telemetry.jsonl shrank" in fault.detail
        assert watch.troubles() == ()
    assert qemu.poll() is None


def test_who_cannot_be_watched_is_stopped_by_the_kernel(tmp_path: Path) -> None:
    """What nobody looks at may not fill the disk either."""
    ready, out = tmp_path / "go", tmp_path / "out"
    script = f'while [ ! -e "{ready}" ]; do :; done; exec head -c {64 * MIB} /dev/zero > "{out}"'
    with process("sh", "-c", script) as running:
        emulator = Emulator.of(running.pid)
        emulator.limit_files(MIB)
        ready.touch()
        assert gone(running) == -signal.SIGXFSZ
        emulator.close()
    assert out.stat().st_size == MIB


def test_the_limit_grows_with_what_was_seen(
    qemu: subprocess.Popen[bytes], telemetry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[int] = []
    monkeypatch.setattr(Emulator, "limit_files", lambda _, size: limits.append(size))
    guest = watched(qemu, telemetry)
    with telemetry.open("ab") as file:
        for size in (0, MIB // 2, 8 * MIB):
            file.truncate(size + 3)
            guest.captures[0]._bucket.cap = Cap("telemetry", 99 * MIB, 1, 1, 1, 99 * MIB)
            guest.look()
    assert limits == [64 * MIB + 3, 72 * MIB + 3]


OUTSIDE = Death("its QEMU process ended from outside", by_itself=False)
PANIC = Death("powered off, or rebooted after a panic", by_itself=True)


@pytest.mark.parametrize(
    ("death", "takes_in", "kinds"), [(OUTSIDE, False, ["qemu-exit"]), (PANIC, False, []), (OUTSIDE, True, [])]
)
def test_whether_a_guest_was_taken_away_is_known_after_it_is_gone(
    death: Death, takes_in: bool, kinds: list[str], qemu: subprocess.Popen[bytes], telemetry: Path
) -> None:
    signals = Signals()
    with Watch() as watch:
        with watch.over(watched(qemu, telemetry, signals)) as guest:
            guest.takes_in = takes_in
            qemu.kill()
            gone(qemu)
            told = threading.Timer(0.05, signals.died, [death])
            told.start()
        told.join()
        assert [fault.kind for fault in watch.troubles()] == kinds


def test_trouble_waits_for_the_end_that_it_came_of(qemu: subprocess.Popen[bytes], telemetry: Path) -> None:
    """A connection is lost before the process is gone."""
    signals = Signals(death=OUTSIDE)
    with Watch() as watch:
        killed = threading.Timer(0.2, qemu.kill)
        with (
            contextlib.suppress(LabTrouble),
            watch.over(watched(qemu, telemetry, signals)),
            watch.until_known(),
        ):
            killed.start()
            raise LabTrouble("connection lost")
        killed.join()
        assert [fault.kind for fault in watch.troubles()] == ["qemu-exit"]


def test_nothing_watches_on_when_the_block_has_ended(qemu: subprocess.Popen[bytes], telemetry: Path) -> None:
    before = set(threading.enumerate())
    during: set[threading.Thread] = set()
    with contextlib.suppress(LabTrouble), Watch() as watch, watch.over(watched(qemu, telemetry)):
        during.update(threading.enumerate())
        raise LabTrouble("the end")
    assert len(during - before) == 1
    assert set(threading.enumerate()) == before


def test_a_look_that_the_host_does_not_allow_ends_nothing(
    qemu: subprocess.Popen[bytes], telemetry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Watch() as watch, watch.over(watched(qemu, telemetry)):

        def refused(_: Emulator) -> None:
            raise OSError(24, "Too many open files")

        with monkeypatch.context() as few:
            few.setattr(Emulator, "look", refused)
            assert watch.troubles() == ()
            few.setattr("lab.provision.gaps.LATE_S", 0.0)
            assert "was not watched" in first_of(watch).detail
        os.truncate(telemetry, 0)
        assert first_of(watch).kind == "host"
