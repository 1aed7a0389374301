# SPDX-License-Identifier: GPL-2.0-only
"""Ratios against what people use today, and against ourselves: measured side by side, with spread and a picture."""
