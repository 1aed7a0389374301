# SPDX-License-Identifier: GPL-2.0-only
"""The life of one attempt: the steps that a script may take, and the record it leaves."""
