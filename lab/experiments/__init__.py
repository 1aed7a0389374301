# SPDX-License-Identifier: GPL-2.0-only
"""Experiments as general rooms know them: one contract, and where they are found."""
