# SPDX-License-Identifier: GPL-2.0-only
"""MSG_ZEROCOPY sends and the memory cgroup: who is charged for pages that only the network still has, and how often?"""
