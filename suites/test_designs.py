# SPDX-License-Identifier: GPL-2.0-only
"""What single designs promise: charges in turn, a driver's opt-in, and the network's own page pool."""

from __future__ import annotations

from steps import keep_and_release

from lab.evidence.memory import beyond_free
from lab.plan.designs import OPT_IN_SYSCTL
from lab.trial.trial import Trial


def test_cross_memcg(trial: Trial) -> None:
    """Two parties take turns on one NIC, so that pages of one come by the other; at last both hold at once."""
    with trial as experiment:
        for name, checkpoint in (("a1", "a1"), ("b1", "b1"), ("a2", "a2"), ("b2", "held")):
            experiment.start(name)
            experiment.delivered(name)
            experiment.checkpoint(checkpoint)
            experiment.release(name)
            experiment.charge_gone(name)
        experiment.start("a3", "b3")
        experiment.delivered("a3", "b3")
        experiment.checkpoint("both")
        experiment.release()
        experiment.end()
    assert trial.as_predicted, trial


def test_opt_in(trial: Trial) -> None:
    """Hold under either setting of the sysctl."""
    with trial as experiment:
        for value, name, checkpoint in ((0, "lenient", "lenient"), (1, "strict", "held")):
            experiment.set_sysctl(OPT_IN_SYSCTL, value)
            experiment.start(name)
            experiment.delivered(name)
            experiment.checkpoint(checkpoint)
            experiment.release(name)
        experiment.set_sysctl(OPT_IN_SYSCTL, 0)
        experiment.end()
    assert trial.as_predicted, trial


def test_visible(trial: Trial) -> None:
    """Hold and release, with the pool's counters beside the client's own count."""
    with trial as experiment:
        keep_and_release(experiment)
    assert trial.as_predicted, trial


def test_reclaim(trial: Trial) -> None:
    """Fill the pool, then take more memory than is free without its pages."""
    with trial as experiment:
        experiment.start("abuser")
        experiment.delivered("abuser")
        experiment.checkpoint("held")
        experiment.release("abuser")
        experiment.charge_gone("abuser")
        released = experiment.checkpoint("released")
        if released is not None:
            with experiment.pressure(beyond_free(released)):
                experiment.checkpoint("pressed")
        experiment.end()
    assert trial.as_predicted, trial
