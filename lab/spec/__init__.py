# SPDX-License-Identifier: GPL-2.0-only
"""PURE. What the user wrote, checked; every problem of an input is listed at once."""
