# SPDX-License-Identifier: GPL-2.0-only
"""PURE. Rules turn evidence into findings; one function turns findings into a verdict."""
