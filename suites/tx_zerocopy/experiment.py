# SPDX-License-Identifier: GPL-2.0-only
"""This experiment, as the general rooms know it. It argues about no design: each is expected to send as stock does."""

from __future__ import annotations

from lab.experiments.contract import Experiment
from lab.experiments.found import cases_in
from suites.tx_zerocopy import cases

EXPERIMENT = Experiment(
    "tx_zerocopy", "Is what MSG_ZEROCOPY sends charged, once, until it is let go?", {}, cases_in(cases)
)
