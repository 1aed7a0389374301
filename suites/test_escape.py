# SPDX-License-Identifier: GPL-2.0-only
"""Does a client get away with memory that nobody is charged for?"""

from __future__ import annotations

from steps import keep_and_release

from lab.trial.trial import Trial


def test_hold(trial: Trial) -> None:
    """Map four times the limit and never unmap."""
    with trial as experiment:
        keep_and_release(experiment)
    assert trial.as_predicted, trial


def test_pin_vmsplice(trial: Trial) -> None:
    """Map, vmsplice into pipes, unmap, and repeat to four times the limit."""
    with trial as experiment:
        keep_and_release(experiment)
    assert trial.as_predicted, trial


def test_pin_sendzc(trial: Trial) -> None:
    """Map, send with MSG_ZEROCOPY to a peer that never reads, unmap."""
    with trial as experiment:
        keep_and_release(experiment)
    assert trial.as_predicted, trial


def test_pin_fork(trial: Trial) -> None:
    """Map, fork a child that keeps the mapping, unmap."""
    with trial as experiment:
        keep_and_release(experiment)
    assert trial.as_predicted, trial


def test_pin_tee(trial: Trial) -> None:
    """Map, vmsplice, tee and splice on to other pipes, close the first, unmap."""
    with trial as experiment:
        keep_and_release(experiment)
    assert trial.as_predicted, trial


def test_pin_uring(trial: Trial) -> None:
    """Map, register as buffers of an io_uring, unmap."""
    with trial as experiment:
        keep_and_release(experiment)
    assert trial.as_predicted, trial


def test_bystander(trial: Trial) -> None:
    """An innocent takes a steady stream while the abuser pins until something gives."""
    with trial as experiment:
        experiment.start("innocent")
        experiment.flowing("innocent", bytes_more=6 << 20)
        experiment.start("abuser")
        experiment.until_something_gives("abuser")
        experiment.observe(samples=20)
        experiment.end()
    assert trial.as_predicted, trial
