# SPDX-License-Identifier: GPL-2.0-only
"""Bundles on disk: judged once, read back, reported."""
