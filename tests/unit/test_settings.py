# SPDX-License-Identifier: GPL-2.0-only
"""docs/settings.md has each environment variable that the code reads, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from lab.host.paths import project_root

ROOT = project_root()
NAME = re.compile(r"LAB_[A-Z][A-Z_]*")
TABLE = re.compile(r"^\| `(LAB_[A-Z_]+)` \|", re.MULTILINE)


def in_python(path: Path) -> Iterator[str]:
    """Strings that are nothing but such a name: what a variable is asked for by."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value):
            yield node.value


def in_shell(path: Path) -> Iterator[str]:
    yield from re.findall(r"\$\{?(LAB_[A-Z_]+)", path.read_text())


def read_by_the_code() -> set[str]:
    python = [path for folder in ("lab", "suites") for path in (ROOT / folder).rglob("*.py")]
    shell = [ROOT / "Makefile", *(ROOT / "playbooks").rglob("*.sh"), *(ROOT / "lab").rglob("*.sh")]
    return {name for path in python for name in in_python(path)} | {name for path in shell for name in in_shell(path)}


def test_the_table_has_what_the_code_reads_and_nothing_else() -> None:
    told = TABLE.findall((ROOT / "docs" / "settings.md").read_text())
    assert told
    assert sorted(told) == sorted(read_by_the_code())


def test_a_name_is_found_where_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('"""LAB_NOT_THIS one."""\nX = environ.get("LAB_THIS")\nY = "LAB_TOO"\n')
    (tmp_path / "a.sh").write_text("# LAB_NOT_THIS\necho ${LAB_THIS:-x} $LAB_TOO\n")
    assert sorted(in_python(tmp_path / "a.py")) == sorted(in_shell(tmp_path / "a.sh")) == ["LAB_THIS", "LAB_TOO"]
