# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

from importlib.util import find_spec

import pytest

from lab.host.paths import suites_dir
from tests.unit.guest.programs import Tools, built

collect_ignore_glob = [] if find_spec("suites.tx_zerocopy") else ["test_*.py"]


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Tools:
    """Its programs, built once."""
    return built(tmp_path_factory.mktemp("guest"), suites_dir() / "tx_zerocopy" / "guest")
