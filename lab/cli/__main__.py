# SPDX-License-Identifier: GPL-2.0-only
"""`python -m lab.cli` is `lab`."""

from lab.cli import main

main()
