# SPDX-License-Identifier: GPL-2.0-only
"""A session: prepared, conducted, run by an engine, drawn; and what it taught of this host."""
