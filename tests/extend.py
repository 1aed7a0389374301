# SPDX-License-Identifier: GPL-2.0-only
"""The experiments that docs/extend.md walks through, copied from the page."""

from __future__ import annotations

from pathlib import Path

from markdown_it import MarkdownIt

PAGE = Path(__file__).resolve().parents[1] / "docs" / "extend.md"
BORROWING, OWN = "my-suite", "my-recv"


def written(folder: Path, experiment: str = BORROWING) -> Path:
    """The files of one of them in a folder, by the comment that each block begins with."""
    for name in ("__init__.py", "cases/__init__.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    for token in MarkdownIt().parse(PAGE.read_text()):
        name, _, text = token.content.partition("\n")
        place = name.lstrip("#/ ")
        if token.type == "fence" and place.startswith(f"{experiment}/"):
            path = folder / place.removeprefix(f"{experiment}/")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    return folder
