# SPDX-License-Identifier: GPL-2.0-only
"""The experiment that docs/extend.md walks through, copied from the page."""

from __future__ import annotations

from pathlib import Path

from markdown_it import MarkdownIt

PAGE = Path(__file__).resolve().parents[1] / "docs" / "extend.md"


def written(folder: Path) -> Path:
    """Its files in a folder, by the comment that each block begins with."""
    for name in ("__init__.py", "cases/__init__.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    for token in MarkdownIt().parse(PAGE.read_text()):
        if token.type == "fence":
            name, _, text = token.content.partition("\n")
            (folder / name.removeprefix("# ")).write_text(text)
    return folder
