# SPDX-License-Identifier: GPL-2.0-only
"""PURE. Rates, flakes and numbers over a history, by the standard library's arithmetic."""
