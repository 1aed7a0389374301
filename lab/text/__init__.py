# SPDX-License-Identifier: GPL-2.0-only
"""Text that is shown: made fit for a terminal, a page and a file."""
