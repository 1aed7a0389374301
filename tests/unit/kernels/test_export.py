# SPDX-License-Identifier: GPL-2.0-only
"""The source of a kernel's selftests: of its own commit, and only what they need."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.kernels.base import find_base
from lab.kernels.delivered import from_mbox
from lab.kernels.export import PATHS, ensure_selftest_source, exported
from lab.kernels.series import Series
from tests.unit.kernels.binaries import bzimage

PATCH = b"""From 1111111111111111111111111111111111111111 Mon Sep 17 00:00:00 2001
From: A Developer <a@example.org>
Date: Thu, 1 Jan 2026 00:00:00 +0000
Subject: [PATCH] selftests: say more

---
 tools/file | 1 +
 1 file changed, 1 insertion(+)

diff --git a/tools/file b/tools/file
--- a/tools/file
+++ b/tools/file
@@ -1 +1,2 @@
 first
+second
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "linux"
    for name in (*PATHS, "drivers"):
        place = root / name if name[0].isupper() else root / name / "file"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("first\n")
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for argv in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "base"]):
        subprocess.run(["git", *argv], cwd=root, check=True)
    return root


def test_a_series_may_change_the_selftests_and_the_rest_stays_away(repository: Path) -> None:
    base = find_base(f"{repository}#HEAD")
    plain = exported(base, Series(), print)
    patched = exported(base, from_mbox(PATCH, "say-more.patch"), print)
    assert (plain / "tools" / "file").read_text() == "first\n"
    assert (patched / "tools" / "file").read_text() == "first\nsecond\n"
    assert sorted(p.name for p in patched.iterdir()) == sorted({name.split("/")[0] for name in PATHS})


def test_a_kernel_on_this_disk_does_not_say_where_its_source_lies(tmp_path: Path) -> None:
    image = tmp_path / "vmlinuz"
    image.write_bytes(bzimage(b"payload"))
    with pytest.raises(BadInput, match="where its source lies is not known") as caught:
        ensure_selftest_source(str(image), print)
    assert "--source" in caught.value.hint
