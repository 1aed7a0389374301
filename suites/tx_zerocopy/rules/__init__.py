# SPDX-License-Identifier: GPL-2.0-only
"""PURE. What this experiment asks of the evidence: rules, and proofs that a run did what its case claims."""
