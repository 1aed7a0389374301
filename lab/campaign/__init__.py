# SPDX-License-Identifier: GPL-2.0-only
"""Loops around sessions."""
