# SPDX-License-Identifier: GPL-2.0-only
"""The cases, a file each: what is claimed, what is done, which rules judge it, what a stock kernel should show."""
