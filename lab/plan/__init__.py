# SPDX-License-Identifier: GPL-2.0-only
"""PURE. Tables of cases, NIC profiles and designs; names, sizes, domain XML and command lines from run ids."""
