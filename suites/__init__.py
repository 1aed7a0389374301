# SPDX-License-Identifier: GPL-2.0-only
"""Experiments, a package each; and suite files, which name what is run together."""
