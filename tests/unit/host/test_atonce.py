# SPDX-License-Identifier: GPL-2.0-only
"""Several context managers entered at once."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from lab.host.atonce import entered

LEFT: list[str] = []


@contextlib.contextmanager
def manager(name: str, meet: threading.Barrier, trouble: str = "", *, part: str = "") -> Iterator[str]:
    meet.wait(20)  # passed only when all are entered at the same time
    if trouble:
        raise ValueError(trouble)
    try:
        yield name
    finally:
        LEFT.append(name)
    if part:
        meet.wait(20)  # the same for leaving
        raise OSError(part)


def test_all_are_entered_at_once_and_left() -> None:
    LEFT.clear()
    meet = threading.Barrier(3)
    with contextlib.ExitStack() as stack:
        assert entered(stack, {n: manager(str(n), meet) for n in range(3)}) == {0: "0", 1: "1", 2: "2"}
        assert LEFT == []
    assert sorted(LEFT) == ["0", "1", "2"]


def test_one_that_fails_leaves_nobody_behind() -> None:
    LEFT.clear()
    meet = threading.Barrier(3)
    with pytest.raises(ValueError, match="second"), contextlib.ExitStack() as stack:
        entered(stack, {n: manager(str(n), meet, {1: "second", 2: "third"}.get(n, "")) for n in range(3)})
    assert LEFT == ["0"]


def test_all_are_left_at_once_and_the_first_trouble_is_told() -> None:
    LEFT.clear()
    meet = threading.Barrier(2)
    with pytest.raises(OSError, match="first"), contextlib.ExitStack() as stack:
        entered(stack, {n: manager(n, meet, part=n) for n in ("first", "second")})
    assert sorted(LEFT) == ["first", "second"]
