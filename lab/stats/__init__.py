# SPDX-License-Identifier: GPL-2.0-only
"""PURE. What repeated runs say: rates, flakes, numbers over a history, and which commit broke it."""
