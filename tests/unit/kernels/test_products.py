# SPDX-License-Identifier: GPL-2.0-only
"""Built kernels on disk, and what lies beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.kernels import products


def test_a_lock_is_no_kernel_and_nobody_is_told_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "built-0123.lock").touch()
    assert products.everything() == ()
    assert capsys.readouterr().err == ""
