# SPDX-License-Identifier: GPL-2.0-only
"""The rules that a case has whatever it claims; its experiment adds its own."""

from __future__ import annotations

from lab.verdict.rules_always import balanced, heard
from lab.verdict.rules_lab import complete, kernel_alive, lab_alive, preflight

GROUND = (kernel_alive, lab_alive, complete, preflight, heard, balanced)

BARE = (kernel_alive, lab_alive, complete, heard)
"""Those of a case without clients, which sends nothing by the lab's programs and charges nobody."""
