# SPDX-License-Identifier: GPL-2.0-only
"""PURE. Bytes of a bundle in, frozen records out."""
