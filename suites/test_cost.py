# SPDX-License-Identifier: GPL-2.0-only
"""What does the accounting cost?"""

from __future__ import annotations

from lab.trial.trial import Trial


def test_cost(trial: Trial) -> None:
    """The same stream on the kernel under test and on the reference, in turns: A B, B A, A B, ..."""
    with trial as tested, trial.beside() as reference:
        sides = [tested, reference]
        for client in trial.run.spec.clients:
            for side in sides:
                side.start(client.name)
                side.delivered(client.name)
                side.dismiss(client.name)
            sides.reverse()
        for side in sides:
            side.end()
    assert trial.as_predicted, trial
