# SPDX-License-Identifier: GPL-2.0-only
"""`lab ARGS...` in this process, as the tests of the command have it."""

from __future__ import annotations

from tests.unit.cli.conftest import lab

__all__ = ["lab"]
