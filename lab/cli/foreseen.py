# SPDX-License-Identifier: GPL-2.0-only
"""What `lab run --dry-run` says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from lab.cli.listing import print_json_lines
from lab.text.terminal import say

if TYPE_CHECKING:
    from lab.plan.matrix import Run
    from lab.spec.request import SessionRequest


def tell_foreseen(request: SessionRequest, only: Callable[[Run], bool] | None, *, as_json: bool) -> None:
    """Cells, pairs, and the time expected; one JSON object per run. Raises BadInput as the session would."""
    from lab.report.wording import count, duration
    from lab.session.foresee import foresee

    seen = foresee(request, only)
    if as_json:
        print_json_lines(
            {
                **{"case": run.case, "nic": run.nic, "kernel": run.kernel, "repeat": run.repeat, "family": run.family},
                **{"predicted": seen.predicted[run.id], "seconds": round(run.seconds, 1)},
            }
            for run in seen.runs
        )
        return
    cells = Counter((run.case, run.nic, run.kernel, seen.predicted[run.id]) for run in seen.runs)
    for (case, nic, kernel, predicted), times in cells.items():
        say(f"{case:13} {nic:13} {kernel}  predicted {predicted}{f'  x{times}' if times > 1 else ''}")
    for kernel, how in seen.kernels:
        say(f"kernel {kernel}: {how}")
    unknown = len(seen.runs) - seen.measured
    guessed = f"; {unknown} of them never measured here" if unknown else ""
    say(f"{count(len(seen.runs), 'run')}, {seen.pairs.pairs} at once ({seen.pairs.why})")
    say(f"about {duration(seen.seconds)} under {seen.way}, without what has to be fetched or built{guessed}")
