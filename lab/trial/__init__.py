# SPDX-License-Identifier: GPL-2.0-only
"""One run from its plan to its verdict: its life, the steps that a script may take, the record it leaves."""
