# SPDX-License-Identifier: GPL-2.0-only
"""The guest programs, built once for all that start them here: the lab's own, and those of rx_zerocopy."""

from __future__ import annotations

import pytest

from lab.guestimage.programs import sources
from lab.host.paths import suites_dir
from tests.unit.guest.programs import Tools, built


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    return built(tmp_path_factory.mktemp("guest"), sources(), suites_dir() / "rx_zerocopy" / "guest")
