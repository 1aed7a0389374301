# SPDX-License-Identifier: GPL-2.0-only
"""EFFECT. The catalogue of kernels, fetched, unpacked and made bootable."""
