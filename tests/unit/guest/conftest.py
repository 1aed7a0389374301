# SPDX-License-Identifier: GPL-2.0-only
"""The guest programs, built once for all that start them here."""

from __future__ import annotations

import pytest

from lab.guestimage.programs import sources
from tests.unit.guest.programs import Tools, built


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    return built(tmp_path_factory.mktemp("guest"), sources())
