# SPDX-License-Identifier: GPL-2.0-only
"""The lab: pairs of QEMU machines that say whether a kernel keeps every byte on somebody's bill."""
