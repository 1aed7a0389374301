# SPDX-License-Identifier: GPL-2.0-only
"""Where does a charge end, once the pages are given back?"""

from __future__ import annotations

from lab.trial.trial import Trial


def test_release(trial: Trial) -> None:
    """Pin, drop every reference, and look where charge and free memory settle."""
    with trial as experiment:
        experiment.start("abuser")
        experiment.delivered("abuser")
        experiment.checkpoint("held")
        experiment.release("abuser")
        experiment.charge_gone("abuser")
        experiment.checkpoint("released")
        experiment.end()
    assert trial.as_predicted, trial


def test_dead_memcg(trial: Trial) -> None:
    """Remove the cgroup while its pages are out, then drop them; a used and removed cgroup is the control."""
    with trial as experiment:
        experiment.bury_control()
        experiment.start("abuser")
        experiment.delivered("abuser")
        experiment.checkpoint("held")
        experiment.bury("abuser")
        experiment.checkpoint("removed")
        experiment.release("abuser")
        experiment.checkpoint("released")
        experiment.end(until=experiment.is_buried)
    assert trial.as_predicted, trial
