# SPDX-License-Identifier: GPL-2.0-only
"""TCP receive zerocopy and the memory cgroup: who is charged for network pages that user space has mapped?"""
