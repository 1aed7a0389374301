# SPDX-License-Identifier: GPL-2.0-only
"""Steps that several experiments share."""

from __future__ import annotations

from lab.trial.experiment import Experiment


def keep_and_release(experiment: Experiment) -> None:
    """All clients take what they are sent and keep it; it is counted; they let go, and it is counted again."""
    experiment.start()
    experiment.delivered()
    experiment.checkpoint("held")
    experiment.release()
    experiment.checkpoint("released")
    experiment.end()
