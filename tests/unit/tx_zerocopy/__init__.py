# SPDX-License-Identifier: GPL-2.0-only
"""Tests of suites/tx_zerocopy; without it none of them is collected."""
