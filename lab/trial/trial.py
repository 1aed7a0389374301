# SPDX-License-Identifier: GPL-2.0-only
"""One run, from its plan to its verdict. This file is the diagram in docs/architecture.md, written out."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from lab.archive.reports import judged, write_verdict
from lab.collect.bundle import BundleWriter
from lab.contracts import Progress
from lab.errors import HostTrouble, LabError, LabTrouble
from lab.evidence.manifest import Manifest
from lab.evidence.names import REFERENCE, TIMING
from lab.evidence.timing import Timing, dump_timing
from lab.host.interrupt import held_back
from lab.pair.keeper import PairKeeper
from lab.pair.timeline import CASE
from lab.plan.design import Predicted
from lab.plan.matrix import Run
from lab.plan.session import SessionPlan
from lab.report.model import RunResult
from lab.text.words import one_line
from lab.trial.life import Life
from lab.trial.record import manifest_fields
from lab.trial.steps import Steps
from lab.units import utc_now
from lab.verdict.case import Case
from lab.verdict.model import Word
from lab.verdict.predict import foretold


class Trial:
    """One run in a `with` block: the block takes the steps, its end leaves a judged bundle, whatever happened.

    `result` is there after the block; `verdict` and `predicted` are what a suite compares. The pair of the run that is
    `following` is restored meanwhile.
    """

    def __init__(
        self,
        run: Run,
        plan: SessionPlan,
        keeper: PairKeeper,
        progress: Progress,
        case: Case,
        *,
        following: Run | None = None,
    ) -> None:
        self.run, self.plan, self.case, self.following = run, plan, case, following
        bundle = BundleWriter(plan.folder / run.id)
        self.life = Life(run, case, keeper, bundle, progress, plan.limits_of(run.kernel))
        self.reference: Life | None = None
        self.result: RunResult | None = None
        self._started = ""

    def play(self) -> None:
        """Take the steps of the case, on a pair or on two, and judge what they leave. A signal ends them in order."""
        if not self.case.compares:
            with self as steps:
                self.case.script(steps)
            return
        with self as tested, self.beside() as reference:
            self.case.script(tested, reference)

    def __enter__(self) -> Steps:
        """A pair is had, or what forbids that is kept for the first step."""
        self._started = utc_now()
        try:
            _set_aside(self.life.bundle.root)
            life = self.life.__enter__()
            if self.following is not None and not self.case.compares:
                life.keeper.expect(self.following)
            return Steps(life)
        except BaseException:  # an interrupt while guests boot leaves a bundle as well
            self.__exit__(*sys.exc_info())
            raise

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> bool:
        """Whose fault the end was is found, evidence is collected, the manifest is written, and all that is judged."""
        try:
            return self.life.__exit__(kind, exc, tb)
        finally:
            with held_back():
                self._keep()

    @contextlib.contextmanager
    def beside(self) -> Iterator[Steps]:
        """Inside the trial's block: the same on a pair with the reference kernel, in a bundle inside the bundle.

        What goes wrong in here ends the trial's block as well: one side alone compares nothing.
        """
        run, kernel = self.run, self.plan.kernel(self.run.reference)
        other = replace(run, kernel=kernel.name, design=kernel.design, reference="")
        bundle = BundleWriter(self.life.bundle.root / REFERENCE)
        keeper = self.life.keeper.beside
        progress, limits = self.life.progress, self.plan.limits_of(kernel.name)
        self.reference = Life(other, self.case, keeper, bundle, progress, limits)
        trouble: LabTrouble | None = None
        with self.reference:
            try:
                yield Steps(self.reference)
            except LabTrouble as exc:
                trouble = exc
                raise
        if trouble is not None:
            raise trouble

    def _keep(self) -> None:
        """Finish the bundle and judge it. Raises HostTrouble when it cannot be written."""
        bundle = self.life.bundle
        try:
            if self.reference is not None:  # the outer manifest vouches for the inner
                _tell_timing(self.reference, self._finish(self.reference))
                self.life.timeline.take(self.reference.timeline, case_as="reference")
            manifest = self._finish(self.life)
            with self.life.timeline.span("judge", lane=CASE):
                result = judged(bundle.root, self.run.id)
            # The verdict is written last: it names the manifest that it was decided on.
            manifest, timing = _tell_timing(self.life, manifest)
            self.result = replace(result, manifest=manifest, timing=timing)
            write_verdict(bundle.root, self.result)
        except OSError as refusal:
            message = f"cannot write the bundle {bundle.root}: {refusal.strerror}"
            raise HostTrouble(message, hint="free some disk, or --results elsewhere") from refusal

    def _finish(self, life: Life) -> Manifest:
        with life.timeline.span("manifest", lane=CASE):
            return life.bundle.finish(manifest_fields(life, self.plan, self._started, self.predicted))

    @property
    def predicted(self) -> Predicted:
        """What is expected of the run."""
        release = self.plan.kernel(self.run.kernel).release
        return foretold(self.case, self.run, release, self.plan.expect, skipped=bool(self.life.skip))

    @property
    def verdict(self) -> Word:
        """The measured word. Raises LabError before the block has ended."""
        if self.result is None:
            raise LabError(f"{self.run.id} has not been run")
        return self.result.verdict.word

    @property
    def as_predicted(self) -> bool:
        """Whether what was measured is what was predicted. What a suite asserts. Raises as `verdict` does."""
        if self.result is None:
            raise LabError(f"{self.run.id} has not been run")
        return self.result.as_predicted

    def __repr__(self) -> str:
        """What pytest shows of a verdict nobody predicted: its findings."""
        if self.result is None:
            return f"<{self.run.id}>"
        told = (f"{f.word} {f.rule}: {f.message} [{f.pointer}]" for f in self.result.verdict.findings)
        findings = "".join(f"\n  {one_line(text)}" for text in told)
        return f"{self.run.id}: {self.verdict}, predicted {self.predicted}{findings}"


def _set_aside(root: Path) -> None:
    """A run whose worker died is run again: what it left behind is kept, but must not mix with what comes."""
    if root.exists() and any(root.iterdir()):
        free = (root.with_name(f"{root.name}.lost-{n}") for n in itertools.count(1))
        root.rename(next(path for path in free if not path.exists()))


def _tell_timing(life: Life, manifest: Manifest) -> tuple[Manifest, Timing]:
    """Last of all, so that judging is told as well; until then the bundle is whole without it."""
    timing = life.timeline.timing()
    return life.bundle.append(manifest, TIMING, dump_timing(timing)), timing
