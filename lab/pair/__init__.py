# SPDX-License-Identifier: GPL-2.0-only
"""A pair made ready: booted, restored, kept for the next run, blamed."""
