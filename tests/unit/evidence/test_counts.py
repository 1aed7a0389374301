# SPDX-License-Identifier: GPL-2.0-only
"""instructions.jsonl: what is not what it should be is no count."""

from __future__ import annotations

import pytest

from lab.evidence.counts import parse_counts
from lab.evidence.model import Count

GOOD = b'{"mark":1,"instructions":5,"t":1.500000}\n{"mark":2,"instructions":9,"t":2.000000}\n'


def test_counts_in_order_with_their_lines() -> None:
    assert parse_counts(GOOD) == (Count(1, 5, 1.5, 1), Count(2, 9, 2.0, 2))
    assert parse_counts(b"") == ()


@pytest.mark.parametrize(
    "data",
    [
        GOOD[:-1],
        GOOD[:-20],
        GOOD + b"\xff\n",
        GOOD.replace(b'"mark":2', b'"mark":3'),
        GOOD.replace(b":9", b":4"),
        GOOD.replace(b":9", b":-9"),
        GOOD.replace(b":9", b":9.5"),
        GOOD.replace(b"2.000000", b"1.000000"),
        GOOD.replace(b"2.000000", b"NaN"),
        GOOD.replace(b'"t"', b'"time"'),
    ],
)
def test_one_wrong_line_spoils_them_all(data: bytes) -> None:
    assert parse_counts(data) is None
