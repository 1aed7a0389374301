# SPDX-License-Identifier: GPL-2.0-only
"""How many lines of a record the console owes: all of a short one, of a long one those that fit into its buffer."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab.host.paths import project_root

MAIN = """
#include "lab-kmsg.c"
int main(int argc, char **argv) { printf("%d", argc > 1 ? (int)lines_of(argv[1]) : -1); }
"""


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kmsg")
    (folder / "main.c").write_text(MAIN)
    guest = project_root() / "images" / "guest"
    sources = [folder / "main.c", guest / "lib" / "labjson.c", guest / "lib" / "guestproc.c"]
    argv = ["gcc", "-Wno-unused", f"-I{guest}", f"-I{guest / 'lib'}", "-o", str(folder / "count"), *map(str, sources)]
    subprocess.run(argv, check=True)
    return folder / "count"


@pytest.mark.parametrize(
    ("record", "lines"),
    [
        ("one\n SUBSYSTEM=pci\n", 1),
        ("", 1),
        (r"a\x0ab\x0ac" "\n", 3),
        ("x" * 1500, 1),
        (r"\x0a".join(["sock 1847296"] * 16), 16),
        (r"\x0a".join(["sock 1847296"] * 70), 16),  # 48 + 12 + 1 bytes each: the next would end beyond 1,024
    ],
)
def test_the_console_owes_no_more_of_a_record_than_fits(counter: Path, record: str, lines: int) -> None:
    assert subprocess.run([counter, record], check=True, capture_output=True, text=True).stdout == str(lines)
