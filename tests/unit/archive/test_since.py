# SPDX-License-Identifier: GPL-2.0-only
"""The table of lines, from rows alone."""

from __future__ import annotations

from lab.archive.rows import KernelRow, RunRow
from lab.archive.since import Table, markdown, table
from lab.units import MIB
from tests.unit.archive.test_compare import row


def kernel(key: str, release: str, **given: str) -> KernelRow:
    blank = dict.fromkeys(KernelRow.__annotations__, "") | {"design": "stock"}
    return KernelRow(**{**blank, "key": key, "release": release, **given})


KERNELS = [
    kernel("a", "6.1.192-amd64"),
    kernel("b", "6.12.117-amd64"),
    kernel("c", "7.3.4-amd64"),
    kernel("own", "6.12.9-lab", base="linux-source-6.12"),
    kernel("put", "6.12.9", design="put-hook"),
]


def said(word: str, day: int, on: str, line: str, escaped: int = 0, case: str = "hold") -> RunRow:
    return row(word, day, kernel=on, line=line, escaped=escaped * MIB, case_name=case, key=f"{day}{on}{case}")


def made(*runs: RunRow) -> Table:
    return table(runs, KERNELS, order=("hold", "release"))


def test_lines_are_columns_in_their_order_and_the_newest_verdict_counts() -> None:
    found = made(
        said("F", 1, "c", "7.3", 250), said("P", 9, "a", "6.1"), said("F", 2, "b", "6.12", 100),
        said("F", 3, "b", "6.12", 251), said("M", 5, "b", "6.12"), said("P", 1, "a", "6.1", case="release"),
    )  # fmt: skip
    assert found.lines == ("6.1", "6.12", "7.3")
    assert [name for name, _ in found.rows] == [("hold", "virtio"), ("release", "virtio")]
    assert [str(cell) for cell in found.rows[0][1]] == ["PASS", "FAIL 251.0 MiB", "FAIL 250.0 MiB"]
    assert found.rows[1][1][1:] == (None, None)
    assert found.changes() == ("6.1 -> 6.12: hold on virtio: PASS -> FAIL 251.0 MiB",)


def test_an_escape_that_moved_is_a_change_and_what_gave_no_verdict_is_none() -> None:
    found = made(said("F", 1, "a", "6.1", 250), said("F", 1, "b", "6.12", 200), said("M", 1, "c", "7.3"))
    assert found.changes() == ("6.1 -> 6.12: hold on virtio: FAIL 250.0 MiB -> FAIL 200.0 MiB",)
    assert str(found.rows[0][1][2]) == "MISS"


def test_only_packaged_kernels_count() -> None:
    assert made(said("P", 1, "own", "6.12"), said("P", 1, "put", "6.12")).rows == ()


def test_as_a_document() -> None:
    text = markdown(made(said("F", 1, "b", "6.12", 250), said("F", 1, "c", "7.3", 250)))
    assert "Nothing differs between two neighbours." in text
    assert "| `hold` | virtio | FAIL 250.0 MiB | FAIL 250.0 MiB |" in text
    assert text.endswith("Kernels: 6.12.117-amd64; 7.3.4-amd64.\n")
