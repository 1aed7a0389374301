# SPDX-License-Identifier: GPL-2.0-only
"""This machine: commands, paths, the file cache, records, signals, workers, doing things at once, size."""
