# SPDX-License-Identifier: GPL-2.0-only
"""The lab on a host of another suite of Debian: a chroot that it is set up in as on any fresh host."""
