# SPDX-License-Identifier: GPL-2.0-only
"""What repeated runs say: pure arithmetic, tested by simulation."""
