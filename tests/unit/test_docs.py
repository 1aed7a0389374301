# SPDX-License-Identifier: GPL-2.0-only
"""Documents: what they link to is there, and their lines fit."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from lab.host.paths import project_root

ROOT = project_root()
DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "bench/*.md", "images/**/*.md", "suites/**/*.md")
    for path in ROOT.glob(pattern)
)
WIDTH = 120
MARKDOWN = MarkdownIt("commonmark").enable("table")
FILE = re.compile(r"(lab|docs|tests|images|playbooks|suites|bench)/[\w/.-]*\w")


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tokens(text: str) -> Iterator[Token]:
    for block in MARKDOWN.parse(text):
        yield block
        yield from block.children or ()


def links(text: str) -> list[str]:
    """Where links and pictures lead."""
    found = (token.attrGet("href") or token.attrGet("src") for token in tokens(text))
    return [str(link) for link in found if link]


def anchors(text: str) -> set[str]:
    """Of the headings, as GitHub makes them; a second heading of the same words has -1 behind it."""
    made: list[str] = []
    blocks = list(MARKDOWN.parse(text))
    for opening, inline in itertools.pairwise(blocks):
        if opening.type == "heading_open":
            words = "".join(child.content for child in inline.children or ()).lower()
            slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
            made.append(f"{slug}-{made.count(slug)}" if slug in made else slug)
    return set(made)


def broken(document: Path, text: str) -> list[str]:
    """Links of a text, read as that document, that lead nowhere."""
    found = []
    for link in links(text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (
            anchor and anchor not in anchors(text if target == document else target.read_text())
        ):
            found.append(link)
    return found


def too_wide(text: str) -> list[str]:
    """Lines beyond the width. A row of a table cannot be wrapped, nor can an entry of a list that is one link."""
    wide = [line for line in text.splitlines() if len(line) > WIDTH]
    return [line for line in wide if not line.startswith("|") and not re.fullmatch(r" *- \[.*\]\(\S*\)", line)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_links_lead_somewhere(document: Path) -> None:
    assert broken(document, document.read_text()) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_files_that_are_named_are_there(document: Path) -> None:
    """`lab/host/paths.py`, or `lab/verdict/rules_*.py`."""
    spans = (t.content for t in tokens(document.read_text()) if t.type == "code_inline")
    files = [span for span in spans if FILE.fullmatch(span.replace("*", "x"))]
    assert [file for file in files if "NAME" not in file and not list(ROOT.glob(file))] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_lines_fit(document: Path) -> None:
    assert too_wide(document.read_text()) == []


def test_what_is_broken_is_found() -> None:
    text = (
        "# A `b`, c\n\n[a](#a-b-c) [b](#b) [c](nowhere.md) ![d](x.svg) [e](docs/cases.md#nothing) [f](https://x.org)\n"
    )
    assert broken(ROOT / "README.md", text) == ["#b", "nowhere.md", "x.svg", "docs/cases.md#nothing"]
    assert too_wide("x" * WIDTH + "\n" + "y" * (WIDTH + 1) + "\n| " + "z" * WIDTH) == ["y" * (WIDTH + 1)]
    assert {named(path) for path in DOCUMENTS} >= {"README.md", "docs/decisions.md", "images/README.md"}
