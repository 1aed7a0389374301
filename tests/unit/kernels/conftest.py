# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import pytest

from tests.unit.kernels.trees import Trees, make_trees


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Trees:
    """Where git and the lab apply what they are given."""
    return make_trees(tmp_path_factory.mktemp("trees") / "repo")
