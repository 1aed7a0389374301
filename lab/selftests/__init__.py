# SPDX-License-Identifier: GPL-2.0-only
"""EFFECT. Kernel selftests found in a source tree, built outside of it, and packed for a guest."""

from lab.selftests.build import build, ensure_headers, pack
from lab.selftests.find import Chosen, choose
from lab.selftests.source import SourceTree, source_tree

__all__ = ["Chosen", "SourceTree", "build", "choose", "ensure_headers", "pack", "source_tree"]
