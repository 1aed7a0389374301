# SPDX-License-Identifier: GPL-2.0-only
"""This experiment, as the general rooms know it."""

from __future__ import annotations

from lab.experiments.contract import Experiment
from lab.experiments.found import cases_in
from suites.rx_zerocopy import cases
from suites.rx_zerocopy.designs import DESIGNS
from suites.rx_zerocopy.traffic import TRAFFIC

EXPERIMENT = Experiment("rx_zerocopy", "Is every zerocopy byte charged?", DESIGNS, cases_in(cases), measured=TRAFFIC)
