# SPDX-License-Identifier: GPL-2.0-only
"""The fault campaign: real sessions, one fault each at a random moment, and oracles that say what may become of them.

`python -m tests.faults --rounds 20 --seed 7`; see docs/faults.md.
"""
