# SPDX-License-Identifier: GPL-2.0-only
"""Controls: what every kernel must get right. A lab whose controls fail says nothing about the rest."""

from __future__ import annotations

from steps import keep_and_release

from lab.trial.trial import Trial


def test_copy_control(trial: Trial) -> None:
    """recv() four times the limit into anonymous memory: charged, and contained by the memcg's OOM killer."""
    with trial as experiment:
        experiment.start("abuser")
        experiment.delivered("abuser")
        experiment.end()
    assert trial.as_predicted, trial


def test_sock_control(trial: Trial) -> None:
    """A reader that never reads: what queues up is charged as sock."""
    with trial as experiment:
        experiment.start("abuser")
        experiment.delivered("abuser")
        queued = experiment.counter("abuser", "queued")
        experiment.settled("sock charge", lambda s: s.cgroups["abuser"].stat["sock"] >= queued)
        experiment.checkpoint("held")
        experiment.release("abuser")
        experiment.checkpoint("released")
        experiment.end()
    assert trial.as_predicted, trial


def test_bytes_equal(trial: Trial) -> None:
    """A seeded stream under every client, checked byte by byte."""
    with trial as experiment:
        keep_and_release(experiment)
    assert trial.as_predicted, trial
