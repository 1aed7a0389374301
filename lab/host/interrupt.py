# SPDX-License-Identifier: GPL-2.0-only
"""SIGINT, SIGTERM and SIGHUP: the first ends the work in order, the next ones do not cut its clean-up short."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def ending() -> tuple[signal.Signals, ...]:
    """Those that shall end this process's work: nohup(1) has it ignore that its terminal goes away."""
    return tuple(n for n in SIGNALS if n != signal.SIGHUP or signal.getsignal(n) is not signal.SIG_IGN)


def raise_once(_signum: int, _frame: FrameType | None) -> None:
    """A handler: KeyboardInterrupt for the first signal, nothing for those that follow."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def end_in_order() -> None:
    """Make each of them end this process's work by KeyboardInterrupt, once. For the main thread."""
    for number in ending():
        signal.signal(number, raise_once)


def ends_with(parent: int, number: signal.Signals) -> bool:
    """Have this process get a signal when its parent ends, however that ends. False when it has ended already."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
    return os.getppid() == parent


@dataclass
class Held:
    """The signal that waits for the end of the block, 0 for none; callable, for those who ask "shall I stop?"."""

    signum: int = 0

    def __call__(self) -> bool:
        return self.signum != 0

    def take(self, signum: int, _frame: FrameType | None) -> None:
        self.signum = signum


@contextlib.contextmanager
def handled(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Each of them is this handler's in the block. For the main thread."""
    before = {number: signal.signal(number, handler) for number in ending()}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextlib.contextmanager
def held_back() -> Iterator[Held]:
    """Hold them back to the end of the block: what is begun here gets whole. For short, bounded work."""
    held = Held()
    if threading.current_thread() is not threading.main_thread():
        yield held  # handlers run in the main thread only
        return
    try:
        with handled(held.take):
            yield held
    finally:
        if held():
            signal.raise_signal(held.signum)
