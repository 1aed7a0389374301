# SPDX-License-Identifier: GPL-2.0-only
"""What is no series the lab could apply: one error that names the file and the cure, and never a traceback."""

from __future__ import annotations

import contextlib
import gzip
import random
from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.kernels.delivered import MOST, from_mbox, read_series
from tests.unit.kernels.trees import CORPUS, Trees

NOT_PATCHES = {
    "web page": (b"<!DOCTYPE html>\n<html><body>", "raw"),
    "utf-16": ("diff --git a/x b/x\n".encode("utf-16"), "iconv"),
    "zip": (b"PK\x03\x04abc", "unpack it"),
    "tar": (b"\0" * 257 + b"ustar" + b"\0" * 200, "unpack it"),
    "zstd": (b"\x28\xb5\x2f\xfdabc", "unzstd"),
    "damaged gzip": (gzip.compress(b"From x")[:-6], "fetch it again"),
    "empty": (b"\n \n", "git format-patch"),
    "bundle v3": (b"# v3 git bundle\n", "--base"),
    "quoted": (b"Subject: Re: x\n\n> diff --git a/x b/x\n> @@ -1 +1 @@\n", "the mail that it answers"),
    "merge": (b"diff --cc net/core.c\nindex 1,2..3\n--- a/net/core.c\n+++ b/net/core.c\n@@@ -1 -1 +1 @@@\n", "A..B"),
    "binary": (
        b"diff --git a/x b/x\nindex e69de29..1234567 100644\nBinary files a/x and b/x differ\n",
        "--binary",
    ),
    "cut off": (b"--- a/net/core.c\n+++ b/net/core.c\n@@ -4,3 +4,3 @@\n 4\n-5\n", "whole"),
    "wrapped": (b"--- a/net/core.c\n+++ b/net/core.c\n@@ -4,3 +4,3 @@\n 4\nwrapped\n-5\n+6\n 6\n", "wrap"),
    "bomb": (gzip.compress(b"\n" * (MOST + 1)), "git format-patch"),
}


@pytest.mark.parametrize("what", NOT_PATCHES)
def test_what_is_no_patch_is_one_error_with_a_cure(what: str) -> None:
    data, cure = NOT_PATCHES[what]
    with pytest.raises(BadInput) as caught:
        from_mbox(data, "it.patch")
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith("it.patch: ")
    assert cure in str(caught.value)


def test_a_patch_whose_last_context_lines_lost_their_blanks_is_whole(trees: Trees) -> None:
    """Editors cut blanks at ends of lines: an empty line of the context is then nothing at all."""
    made = b"--- /dev/null\n+++ b/new.c\n@@ -0,0 +1,4 @@\n+a\n+\n+\n+b\n"
    change = b"--- a/new.c\n+++ b/new.c\n@@ -1,3 +1,3 @@\n-a\n+c\n\n\n"
    series = from_mbox(made, "m") + from_mbox(change, "c")
    assert trees.ours(series) == trees.apply(made + change) != ""


def test_a_new_file_is_never_made_under_another_name(trees: Trees) -> None:
    there = b"--- /dev/null\n+++ b/net/core.c\n@@ -0,0 +1 @@\n+five\n"
    with pytest.raises(BadInput, match="has it already"):
        trees.ours(from_mbox(there, "m"))


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    for path, words in (
        (tmp_path / "no", "no such file"),
        (tmp_path, "no patches in it"),
        (Path("/dev/zero"), "no file"),
    ):
        with pytest.raises(BadInput, match=words):
            read_series(path)


# ---- no traceback, whatever it is ----------------------------------------------------------------------------------


def _mutated(data: bytes, dice: random.Random) -> bytes:
    spoiled = bytearray(data)
    for _ in range(dice.randint(1, 6)):
        at = dice.randrange(len(spoiled))
        match dice.randrange(5):
            case 0:
                spoiled[at] = dice.randrange(256)
            case 1:
                del spoiled[at : at + dice.randint(1, 200)]
            case 2:
                spoiled[at:at] = bytes(dice.randrange(256) for _ in range(dice.randint(1, 20)))
            case 3:
                spoiled[at:at] = spoiled[dice.randrange(len(spoiled)) :][:200]
            case _:
                spoiled[at:at] = dice.choice(
                    [b"\r\n", b"\n--\n", b"\nFrom a Thu Jan  1 00:00:00 1970\n", b"=?x?q?", b"\0"]
                )
        spoiled = spoiled or bytearray(b"\n")
    return bytes(spoiled)


@pytest.mark.parametrize("path", [p for p in sorted(CORPUS.iterdir()) if p.is_file()], ids=lambda p: p.name)
def test_a_spoiled_file_is_bad_input_or_a_series(path: Path, trees: Trees) -> None:
    dice = random.Random(path.name)
    for _ in range(6):
        series = None
        with contextlib.suppress(BadInput):
            series = from_mbox(_mutated(path.read_bytes(), dice), "f")
            trees.ours(series)
        assert series is None or series.patches
