# SPDX-License-Identifier: GPL-2.0-only
"""The first signal ends the work in order, later ones do not cut its clean-up short: real signals, real processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from lab.errors import HostTrouble
from lab.host.interrupt import SIGNALS, end_in_order, held_back
from lab.host.paths import temporary_folder
from lab.host.workers import at_work, registered, stop
from lab.provision.private import private_folder
from lab.units import Deadline, wait_until

LONG = timedelta(seconds=30)
T = TypeVar("T")
EACH = pytest.mark.parametrize("number", SIGNALS, ids=["INT", "TERM", "HUP"])


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@EACH
def test_the_first_signal_interrupts_and_the_next_ones_do_not(number: signal.Signals) -> None:
    end_in_order()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    for again in SIGNALS:
        signal.raise_signal(again)


@EACH
def test_a_signal_waits_for_the_end_of_what_must_get_whole(number: signal.Signals) -> None:
    end_in_order()
    done: list[str] = []

    def work() -> None:
        with held_back() as asked:
            done.append(f"asked {asked()}")
            with held_back():
                signal.raise_signal(number)
            done.append(f"asked {asked()}")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["asked False", "asked True"]


def test_nohup_is_respected() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    end_in_order()
    with held_back() as asked:
        signal.raise_signal(signal.SIGHUP)
    assert not asked()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def _with_a_signal(act: Callable[..., T]) -> Callable[..., T]:
    """The same, and a signal comes just before it returns."""

    def interrupted(*args: object, **kwargs: object) -> T:
        result = act(*args, **kwargs)
        signal.raise_signal(signal.SIGTERM)
        return result

    return interrupted


@pytest.mark.parametrize("moment", ["mkdir", "unlink"])
def test_a_signal_leaves_no_temporary_folder(moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end_in_order()
    monkeypatch.setattr(os, moment, _with_a_signal(getattr(os, moment)))
    with pytest.raises(KeyboardInterrupt), temporary_folder(tmp_path) as folder:
        (folder / "file").touch()
    assert not list(tmp_path.iterdir())


def test_a_signal_leaves_no_private_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    end_in_order()
    monkeypatch.setenv("LAB_RUNTIME", str(tmp_path))
    monkeypatch.setattr(os, "mkdir", _with_a_signal(os.mkdir))
    with pytest.raises(KeyboardInterrupt), contextlib.ExitStack() as stack:
        private_folder(stack.callback)
    assert not list(tmp_path.iterdir())


def test_without_a_signal_nothing_is_changed() -> None:
    before = signal.getsignal(signal.SIGINT)
    with held_back():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_trouble_in_a_held_block_comes_through() -> None:
    with pytest.raises(KeyError), held_back():
        raise KeyError("x")


def test_other_threads_hold_nothing_back() -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with held_back() as asked:
            seen.append((asked(), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, before)]


WORKER = """
import sys
from pathlib import Path
from lab.host.interrupt import end_in_order
from lab.host.workers import registered
end_in_order()
with registered(Path(sys.argv[1]), "gw0"):
    try:
        print("at work", flush=True)
        sys.stdin.read()
    finally:
        sys.stdin.read() if "stubborn" in sys.argv else Path(sys.argv[1], "tidied").touch()
"""


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    return tmp_path


def worker(runtime: Path, *words: str) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    argv = [sys.executable, "-c", WORKER, str(runtime), *words]
    process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdout.readline() == b"at work\n"
    return process


def test_a_worker_is_interrupted_and_waited_for(runtime: Path) -> None:
    process = worker(runtime)
    assert at_work(runtime) == (process.pid,)
    assert stop(runtime, LONG)
    assert (runtime / "tidied").exists()
    assert at_work(runtime) == ()
    process.communicate(timeout=30)


def test_a_worker_that_does_not_end_is_not_waited_for_for_ever(runtime: Path) -> None:
    process = worker(runtime, "stubborn")
    assert not stop(runtime, timedelta(milliseconds=50))
    process.kill()
    process.communicate()
    assert stop(runtime, LONG), "a dead one is not at work, reaped or not"


def test_a_worker_that_was_killed_is_not_at_work(runtime: Path) -> None:
    process = worker(runtime)
    process.kill()

    def seen() -> tuple[bool | None, object]:
        left = at_work(runtime)  # it is a zombie now, and its file is there
        return (None if left else True), left

    assert wait_until(seen, deadline=Deadline.after("its death", LONG))
    assert (runtime / "gw0.pid").exists()
    process.communicate()


def test_a_process_that_got_a_dead_workers_pid_is_left_alone(runtime: Path) -> None:
    (runtime / "gw0.pid").write_text("1 0")
    (runtime / "gw1.pid").write_text("half")
    assert at_work(runtime) == ()


def test_the_controlling_process_does_not_interrupt_itself(runtime: Path) -> None:
    with registered(runtime, "w"):
        assert (runtime / "w.pid").read_text().startswith(f"{os.getpid()} ")
        assert at_work(runtime) == ()
        assert stop(runtime, LONG)
    assert not list(runtime.glob("*.pid"))


def test_nobody_begins_when_the_session_is_ending(runtime: Path) -> None:
    """Who ends it has looked for workers already: it would not be waited for."""
    assert stop(runtime, LONG)
    with pytest.raises(HostTrouble, match="gw0 starts no run"), registered(runtime, "gw0"):
        pytest.fail("it has begun")
    assert not list(runtime.glob("*.pid"))
    with pytest.raises(HostTrouble, match="starts no run"), registered(runtime / "removed", "gw0"):
        pytest.fail("it has begun")
