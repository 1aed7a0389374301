# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("suites.tx_zerocopy") else ["test_*.py"]
