# SPDX-License-Identifier: GPL-2.0-only
"""Several things at once, and none of them left behind."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from lab.host.interrupt import held_back

K = TypeVar("K")
T = TypeVar("T")


def entered(stack: contextlib.ExitStack, managers: Mapping[K, contextlib.AbstractContextManager[T]]) -> dict[K, T]:
    """Enter all at once, each in a thread of its own; `stack` leaves those that were entered, at once too.

    Raises what the first of them raised, after all have ended. Signals wait for that: for short, bounded work.
    """
    if len(managers) == 1:
        return {key: stack.enter_context(manager) for key, manager in managers.items()}
    with held_back(), ThreadPoolExecutor(len(managers)) as pool:
        entering = {key: pool.submit(manager.__enter__) for key, manager in managers.items()}
        wait(entering.values())
        there = [manager for key, manager in managers.items() if entering[key].exception() is None]
        stack.callback(_leave, there)
    return {key: value.result() for key, value in entering.items()}


@contextlib.contextmanager
def beside(work: Callable[[threading.Event], None], name: str) -> Iterator[None]:
    """Do `work` in a thread while the block lasts: the event that it is given is set at the end, and it is awaited."""
    over = threading.Event()
    thread = threading.Thread(target=work, args=(over,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _leave(managers: Sequence[contextlib.AbstractContextManager[T]]) -> None:
    """Leave all at once, as if their block had ended well. Raises what the first of them raised, after all are left."""
    if not managers:
        return
    with held_back(), ThreadPoolExecutor(len(managers)) as pool:
        left = [pool.submit(manager.__exit__, None, None, None) for manager in managers]
    for future in left:
        future.result()
