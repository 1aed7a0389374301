# SPDX-License-Identifier: GPL-2.0-only
"""What a user sees of a session while it runs: what it is to do, a line for each verdict, and how far it is."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from rich.text import Text

from lab.cli.progress import shown
from lab.text.terminal import Console, say

if TYPE_CHECKING:
    from lab.contracts import Progress
    from lab.plan.matrix import Run
    from lab.plan.session import SessionPlan
    from lab.report import RunResult
    from lab.session.conduct import Listener

Verdict = Callable[["SessionPlan", int, "RunResult"], None]
"""Is told that a run has its verdict."""


@contextlib.contextmanager
def listening(*, as_json: bool = False, told: Verdict | None = None) -> Iterator[Listener]:
    """What the user sees of a session: what it is to do and what is to be noted before, a line for each verdict (or
    what `told` makes of it), and, on a terminal, how far it is and what every worker is doing."""
    from lab.session.conduct import Listener

    console = Console(stderr=True)  # that of the line that moves: what another one printed would land on it
    with shown(console) as progress:
        view = _View(console, progress, told, as_json=as_json)
        yield Listener(progress, view.planned, view.doing if console.is_terminal else lambda _: None, view.verdict)


@dataclass
class _View:
    console: Console
    progress: Progress
    told: Verdict | None
    as_json: bool
    course: Course | None = None

    def planned(self, plan: SessionPlan) -> None:
        from lab.cli.guests import say_accelerator

        say_accelerator(plan.accelerator, plan.accelerator_why)
        for note in plan.notes:
            say(note, err=True)
        self.course = Course(plan)
        say(self.course.intended(), err=True)

    def doing(self, what: str) -> None:
        far = self.course.far() if self.course else ""
        self.progress(f"{far} {what}".strip())

    def verdict(self, plan: SessionPlan, number: int, result: RunResult) -> None:
        left = self.course.after(result) if self.course else ""
        if self.told:
            self.told(plan, number, result)
        else:
            print_verdict(self.console, plan, number, result, as_json=self.as_json, left=left)


@dataclass
class Course:
    """How far a session is, and how long the rest will take by what was learnt of this host."""

    plan: SessionPlan
    done: set[str] = field(default_factory=set)
    at: float = field(default_factory=time.monotonic)
    """When the last verdict came."""
    rest: float = 0.0
    """Seconds that were left then."""

    def __post_init__(self) -> None:
        self.rest = self._rest()

    def intended(self) -> str:
        """What runs, in a line."""
        from lab.report.wording import count

        runs = self.plan.runs
        cases, nics, kernels = (
            ", ".join(dict.fromkeys(names))
            for names in ([run.case for run in runs], [run.nic for run in runs], [run.kernel for run in runs])
        )
        pairs = f"{self.plan.pairs} at once, " if len(runs) > 1 else ""
        return f"{count(len(runs), 'run')}, {pairs}about {_whole(self.rest)}: {cases} on {nics} with {kernels}"

    def after(self, result: RunResult) -> str:
        """Told of each verdict; how long the rest will take, "" where nothing is left."""
        self.done.add(result.manifest.run)
        self.at, self.rest = time.monotonic(), self._rest()
        return self.left()

    def left(self) -> str:
        seconds = self.rest - (time.monotonic() - self.at)
        return f"{_whole(seconds)} left" if seconds >= 1 else ""

    def far(self) -> str:
        """`3/16, 1 min 20 s left:`"""
        told = [f"{len(self.done)}/{len(self.plan.runs)}", self.left()]
        return f"{', '.join(filter(None, told))}:"

    def _rest(self) -> float:
        from lab.plan.learnt import kernel_kind, way_of
        from lab.plan.order import PAIR_SECONDS, seconds_left
        from lab.session.learnt import load_learnt

        plan, known = self.plan, load_learnt()
        kinds = {kernel.name: kernel_kind(kernel.base, kernel.fragments) for kernel in plan.kernels}
        way = way_of(plan.accelerator, cold=plan.cold)

        def pair(run: Run) -> float:
            return known.pair_seconds(run, kinds[run.kernel], way, PAIR_SECONDS)

        return seconds_left(plan.runs, self.done, plan.pairs, pair)


def _whole(seconds: float) -> str:
    """`8 s`, `3 min 05 s`"""
    from lab.report.wording import duration

    return f"{seconds:.0f} s" if seconds < 59.5 else duration(seconds)


def print_verdict(
    console: Console, plan: SessionPlan, number: int, result: RunResult, *, as_json: bool, left: str = ""
) -> None:
    """One line for a finished run. In a log it says how long the rest will take; a terminal has that in its last."""
    from lab.report.jsonl import as_record
    from lab.report.text import STYLES

    record = as_record(result, PurePosixPath(plan.folder.as_posix()))
    if as_json:
        say(json.dumps(record, allow_nan=False))
        return
    seconds = sum(record["seconds"].values())
    mark = "" if not result.disagrees else f"  ! predicted {result.instead_of}"
    rest = f"  ({left})" if left and not console.is_terminal else ""
    line = Text.assemble(
        f"[{number}/{len(plan.runs)}] ",
        (f"{record['verdict']:5}", STYLES[result.verdict.word]),
        f" {record['case']:13} {record['nic']:13} {record['kernel']}  {seconds:.0f} s{mark}{rest}",
    )
    console.print(line, soft_wrap=True)
