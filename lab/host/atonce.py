# SPDX-License-Identifier: GPL-2.0-only
"""Several things at once, and none of them left behind."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
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


def _leave(managers: Sequence[contextlib.AbstractContextManager[T]]) -> None:
    """Leave all at once, as if their block had ended well. Raises what the first of them raised, after all are left."""
    if not managers:
        return
    with held_back(), ThreadPoolExecutor(len(managers)) as pool:
        left = [pool.submit(manager.__exit__, None, None, None) for manager in managers]
    for future in left:
        future.result()
