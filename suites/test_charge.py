# SPDX-License-Identifier: GPL-2.0-only
"""How is a charge made: within the limit, once, and where the rest of the kernel counts the page?"""

from __future__ import annotations

from lab.trial.experiment import Experiment
from lab.trial.trial import Trial
from lab.units import MIB


def _leave_one_page_in_each_socket(experiment: Experiment) -> None:
    """Every socket's packets are mapped but for the last page, which keeps its packet in the queue."""
    experiment.start()
    experiment.delivered()
    queued = experiment.counter("abuser", "queued")
    experiment.settled("sock charge", lambda s: s.cgroups["abuser"].stat["sock"] >= queued)
    experiment.checkpoint("held")
    experiment.release()
    experiment.checkpoint("released")
    experiment.end()


def test_never_over(trial: Trial) -> None:
    """Many sockets map more than the limit at once, and nobody may be killed for it."""
    with trial as experiment:
        experiment.start("abuser")
        experiment.until_something_gives("abuser", patience=experiment.limits.standstill)
        experiment.still("abuser")
        experiment.checkpoint("held")
        experiment.release()
        experiment.checkpoint("released")
        experiment.end()
    assert trial.as_predicted, trial


def test_never_over_lowered(trial: Trial) -> None:
    """The same at a steady rate; on the way the limit is lowered below what is charged already."""
    with trial as experiment:
        experiment.start("abuser")
        experiment.flowing("abuser", bytes_more=20 * MIB, into="held")
        experiment.lower_limit("abuser")
        experiment.checkpoint("lowered")
        experiment.until_something_gives("abuser", patience=experiment.limits.standstill)
        experiment.still("abuser")
        experiment.checkpoint("held")
        experiment.release()
        experiment.checkpoint("released")
        experiment.end()
    assert trial.as_predicted, trial


def test_refused(trial: Trial) -> None:
    """Map against the limit until everything has come, by copy in the end; whatever a refusal leaves shows then."""
    with trial as experiment:
        experiment.bury_control()
        experiment.start("abuser")
        experiment.delivered("abuser")
        experiment.checkpoint("held")
        experiment.release("abuser")
        experiment.charge_gone("abuser")
        experiment.checkpoint("released")
        experiment.bury("abuser")
        experiment.checkpoint("removed")
        experiment.end(until=experiment.is_buried)
    assert trial.as_predicted, trial


def test_double_count(trial: Trial) -> None:
    """64 sockets."""
    with trial as experiment:
        _leave_one_page_in_each_socket(experiment)
    assert trial.as_predicted, trial


def test_double_count_1(trial: Trial) -> None:
    """One socket."""
    with trial as experiment:
        _leave_one_page_in_each_socket(experiment)
    assert trial.as_predicted, trial


def test_double_count_16(trial: Trial) -> None:
    """16 sockets."""
    with trial as experiment:
        _leave_one_page_in_each_socket(experiment)
    assert trial.as_predicted, trial


def test_file_mapped(trial: Trial) -> None:
    """Map, and ask the client's smaps, the machine and the cgroup how much is mapped."""
    with trial as experiment:
        experiment.start("abuser")
        experiment.delivered("abuser")
        experiment.read_smaps("abuser")
        mapped = experiment.counter("abuser", "mapped_now")
        experiment.settled("file_mapped", lambda s: s.cgroups["abuser"].stat["file_mapped"] >= mapped)
        experiment.checkpoint("held")
        experiment.release("abuser")
        experiment.settled("file_mapped gone", lambda s: s.cgroups["abuser"].stat["file_mapped"] < MIB)
        experiment.checkpoint("released")
        experiment.end()
    assert trial.as_predicted, trial
