# SPDX-License-Identifier: GPL-2.0-only
"""Sessions on other hosts: orders, what they need, and what comes back. No host is trusted with a verdict."""
