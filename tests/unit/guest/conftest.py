# SPDX-License-Identifier: GPL-2.0-only
"""The guest programs, built once for all that start them here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.guest.programs import Tools

SOURCES = Path(__file__).parents[3] / "images" / "guest"


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    if not (shutil.which("gcc") and shutil.which("make")):
        pytest.skip("the guest programs are built with gcc and make")
    out = tmp_path_factory.mktemp("guest")
    names = [
        str(out / name) for name in ("zc-sender", "zc-client", "tx-client", "tx-peer", "lab-telemetry", "lab-press")
    ]
    subprocess.run(["make", "-j3", "-C", str(SOURCES), f"OUT={out}", *names], check=True, capture_output=True)
    return Tools(out)
