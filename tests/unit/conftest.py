# SPDX-License-Identifier: GPL-2.0-only
"""Hypothesis on a busy host: no deadline per example, and few enough examples that all unit tests end within 20 s.

No test asks the network what other suites offer.
"""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("lab", deadline=None, max_examples=40)
settings.load_profile("lab")


@pytest.fixture(autouse=True)
def _no_other_suites(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    table = tmp_path_factory.getbasetemp() / "archives.toml"
    if not table.exists():
        table.write_text("".join(f"[{name}]\noff = true\n" for name in ("trixie", "trixie-backports", "sid")))
    monkeypatch.setenv("LAB_ARCHIVES", str(table))
