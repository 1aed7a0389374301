# SPDX-License-Identifier: GPL-2.0-only
"""The plugin that counts instructions: where it can, and that it is a plugin."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab.provision.plugin import cannot_count, ensure_plugin


@pytest.mark.parametrize(
    ("qemu", "accelerator", "why"),
    [("7.2.22", "tcg", ""), ("8.2.0", "tcg", ""), ("9.0.0", "tcg", "QEMU before 9"), ("7.2.22", "kvm", "kvm")],
)
def test_what_cannot_be_counted_is_said(qemu: str, accelerator: str, why: str) -> None:
    told = cannot_count(qemu, accelerator)
    assert why in told
    assert bool(told) == bool(why)


def test_the_plugin_is_built_once_and_exports_what_qemu_looks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    said: list[str] = []
    plugin = ensure_plugin(said.append)
    assert ensure_plugin(said.append) == plugin
    assert said == ["building the counting plugin"]
    symbols = subprocess.run(["nm", "-D", "--defined-only", str(plugin)], capture_output=True, text=True, check=True)
    exported = {line.split()[-1] for line in symbols.stdout.splitlines()}
    assert exported == {"qemu_plugin_install", "qemu_plugin_version"}
