# SPDX-License-Identifier: GPL-2.0-only
"""One run, from its plan to its verdict. This file is the diagram in docs/architecture.md, written out."""

from __future__ import annotations

import contextlib
import itertools
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from lab.archive.reports import judged, write_verdict
from lab.collect.bundle import BundleWriter
from lab.contracts import Progress
from lab.errors import HostTrouble, LabError, LabTrouble
from lab.evidence.manifest import Manifest, PairRecord, Seconds
from lab.evidence.names import REFERENCE, TIMING
from lab.evidence.timing import Timing, dump_timing
from lab.experiments.found import as_typed
from lab.host.interrupt import held_back
from lab.host.version import lab_version
from lab.pair.keeper import PairKeeper
from lab.pair.timeline import CASE
from lab.plan.commands import FIRST_PORT, client_argv, sender_argv
from lab.plan.design import Predicted
from lab.plan.domain import cmdline
from lab.plan.matrix import Run
from lab.plan.session import SessionPlan
from lab.report.model import RunResult
from lab.text.words import one_line
from lab.trial.facts import host_record, kernel_record
from lab.trial.steps import Steps
from lab.units import utc_now
from lab.verdict.case import Case
from lab.verdict.model import Word
from lab.verdict.predict import predict


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
        self.steps = Steps(run, case, keeper, bundle, progress, plan.limits_of(run.kernel))
        self.reference: Steps | None = None
        self.result: RunResult | None = None
        self._started = ""

    def __enter__(self) -> Steps:
        self._started = utc_now()
        try:
            _set_aside(self.steps.bundle.root)
            steps = self.steps.__enter__()
            if self.following is not None and not self.case.compares:
                steps.keeper.expect(self.following)
            return steps
        except BaseException:  # an interrupt while guests boot leaves a bundle as well
            self.__exit__(*sys.exc_info())
            raise

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> bool:
        try:
            return self.steps.__exit__(kind, exc, tb)
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
        bundle = BundleWriter(self.steps.bundle.root / REFERENCE)
        keeper = self.steps.keeper.beside
        progress, limits = self.steps.progress, self.plan.limits_of(kernel.name)
        self.reference = Steps(other, self.case, keeper, bundle, progress, limits)
        trouble: LabTrouble | None = None
        with self.reference:
            try:
                yield self.reference
            except LabTrouble as exc:
                trouble = exc
                raise
        if trouble is not None:
            raise trouble

    def _keep(self) -> None:
        """Finish the bundle and judge it. Raises HostTrouble when it cannot be written."""
        bundle = self.steps.bundle
        try:
            if self.reference is not None:  # the outer manifest vouches for the inner
                _tell_timing(self.reference, self._finish(self.reference))
                self.steps.timeline.take(self.reference.timeline, case_as="reference")
            manifest = self._finish(self.steps)
            with self.steps.timeline.span("judge", lane=CASE):
                result = judged(bundle.root, self.run.id)
            # The verdict is written last: it names the manifest that it was decided on.
            manifest, timing = _tell_timing(self.steps, manifest)
            self.result = replace(result, manifest=manifest, timing=timing)
            write_verdict(bundle.root, self.result)
        except OSError as refusal:
            message = f"cannot write the bundle {bundle.root}: {refusal.strerror}"
            raise HostTrouble(message, hint="free some disk, or --results elsewhere") from refusal

    def _finish(self, side: Steps) -> Manifest:
        with side.timeline.span("manifest", lane=CASE):
            return side.bundle.finish(_fields(side, self.plan, self._started, self.predicted))

    @property
    def predicted(self) -> Predicted:
        """What the tables predict; SKIP where the run does not apply."""
        return Predicted.SKIP if self.steps.skip else predict(self.case, self.run.design, self.run.nic)

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

    def play(self) -> None:
        """Take the steps of the case, on a pair or on two, and judge what they leave. A signal ends them in order."""
        if not self.case.compares:
            with self as steps:
                self.case.script(steps)
            return
        with self as tested, self.beside() as reference:
            self.case.script(tested, reference)

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


def _tell_timing(side: Steps, manifest: Manifest) -> tuple[Manifest, Timing]:
    """Last of all, so that judging is told as well; until then the bundle is whole without it."""
    timing = side.timeline.timing()
    return side.bundle.append(manifest, TIMING, dump_timing(timing)), timing


def _fields(subject: Steps, plan: SessionPlan, started: str, predicted: Predicted) -> dict[str, Any]:
    """The manifest but for the files."""
    run, kernel = subject.run, plan.kernel(subject.run.kernel)
    hypervisor = subject.keeper.hypervisor
    pair_id = "" if subject.skip else subject.keeper.captures.name
    born = subject.pair.pair.request.born if subject.pair else ""
    shape = run.shape
    return {
        "run": run.id,
        "case": run.case,
        "nic": run.nic,
        "repeat": run.repeat,
        "predicted": predicted.value,
        "kernel": kernel_record(kernel),
        "host": host_record(hypervisor, plan.accelerator, plan.connect, plan.image, plan.accelerator_why),
        "pair": PairRecord(
            id=pair_id,
            shape=shape.name,
            receiver_mib=shape.receiver_mib,
            sender_mib=shape.sender_mib,
            runs_before=subject.runs_before,
            cmdline=cmdline(born or pair_id, "receiver", run.profile),
            warm=subject.pair.warm if subject.pair else "",
            note=subject.pair.note if subject.pair else "",
        ),
        "mtu": run.profile.mtu,
        "floor": run.profile.floor,
        "clients": _client_records(subject),
        "incidents": subject.incidents,
        "seconds": Seconds(**{k: round(v, 3) for k, v in subject.seconds.items()}),
        "started": started,
        "lab_version": lab_version(),
        "session": plan.name,
        "skip": subject.skip,
        "reference": run.reference,
        "reproduce": _reproduce(run, plan),
    }


def _reproduce(run: Run, plan: SessionPlan) -> str:
    """The command that runs this cell again."""

    def asked(name: str) -> str:
        return shlex.quote(plan.kernel(name).asked or name)

    compared = f" --reference {asked(run.reference)}" if run.reference else ""
    return f"lab run {shlex.quote(as_typed(run.case))} --kernel {asked(run.kernel)} --nic {run.nic}{compared}"


def _client_records(subject: Steps) -> list[dict[str, Any]]:
    """What the manifest says of each client, started or not."""
    run, pair = subject.run, subject.pair
    address = pair.pair.addresses["receiver"].v4 if pair else ""
    return [
        {
            "name": spec.name,
            "behaviour": spec.behaviour,
            "limit": spec.limit,
            "deliver": spec.deliver,
            "argv": client_argv(spec, port, run.seed),
            "sender_argv": sender_argv(spec, address, port, run.seed),
            "seed": run.seed,
            "status": stream.client.status if stream else None,
            "sender_status": stream.sender.status if stream else None,
            "lowered": spec.lowered,
        }
        for port, spec in enumerate(subject.case.clients, start=FIRST_PORT)
        for stream in [subject.streams.get(spec.name)]
    ]
