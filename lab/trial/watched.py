# SPDX-License-Identifier: GPL-2.0-only
"""What a run waits for, while it watches that both guests live: programs, and samples of the guest under test."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from lab.collect.stream import last_lines, size
from lab.drive.ssh import Program
from lab.evidence.model import Sample
from lab.evidence.telemetry import parse_checkpoints, parse_telemetry
from lab.pair.blame import Watch
from lab.pair.ready import ReadyPair
from lab.pair.timeline import CASE
from lab.plan.names import Role
from lab.trial.life import Life
from lab.units import Deadline, wait_until


@dataclass
class Watched:
    """A run that can wait; each wait ends when a guest has died."""

    life: Life

    def __post_init__(self) -> None:
        life = self.life
        self.run, self.case, self.bundle, self.limits = life.run, life.case, life.bundle, life.limits
        self.timeline, self.streams, self.log = life.timeline, life.streams, life.log
        self._watching = Watch(self.limits)

    @property
    def ready(self) -> ReadyPair:
        """The pair. Raises the trouble that kept us from having one."""
        return self.life.ready

    @property
    def tested(self) -> Role:
        """The guest under test."""
        return self.life.tested

    def _tell(self, what: str, /, **fields: object) -> None:
        self.log.info(what, **fields)
        self.life.progress(" ".join([what, *map(str, fields.values())]))

    @contextlib.contextmanager
    def _step(self, step: str, /, **fields: object) -> Iterator[None]:
        """What the block does is a step of the case, told as it begins, and timed."""
        self._tell(step, **fields)
        with self.timeline.span(step, lane=CASE, detail=" ".join(map(str, fields.values())), work=True):
            yield

    def _part(self, name: str, *, work: bool = False) -> contextlib.AbstractContextManager[None]:
        """A part of a step that is worth a span of its own: the lab's wait for itself, or `work` of a guest."""
        return self.timeline.span(name, lane=CASE, work=work)

    def _watch(self, program: Program, is_true: Callable[[Program], bool], deadline: Deadline) -> None:
        """Wait on a program, and on the guests: a dead one ends the wait at once."""

        def seen() -> tuple[bool | None, object]:
            self.ready.check_floods()
            if is_true(program):
                return True, ""
            self._check_guests()
            with program.changed:  # under the lock: a line that came since is_true would wake nobody
                if not is_true(program):
                    program.changed.wait(timeout=0.25)
            return (True if is_true(program) else None), f"{program.name}: {program.tail(1)}"

        wait_until(seen, deadline=deadline, pause=timedelta())

    def _check_guests(self) -> None:
        self.ready.check_floods()
        self._watching.check(self.life.guests())

    def _latest(self) -> Sample | None:
        """The last sample of telemetry of the guest under test."""
        return next(iter(self._recent(1)), None)

    def _recent(self, count: int) -> tuple[Sample, ...]:
        """Its last samples of telemetry, oldest first."""
        lines = last_lines(Path(self.ready.pair.tested.plan.telemetry), count)
        return parse_telemetry(b"\n".join([*lines, b""])).samples

    def _await_sample(self, what: str, is_it: Callable[[Sample], bool], limit: timedelta) -> None:
        """Wait for a sample; each is read once, and looked for so often that little time is added."""
        telemetry, read = Path(self.ready.pair.tested.plan.telemetry), -1
        sample: Sample | None = None

        def seen() -> tuple[bool | None, object]:
            nonlocal read, sample
            self._check_guests()
            if (there := size(telemetry)) != read:
                read, sample = there, self._latest()
                if sample and is_it(sample):
                    return True, ""
            return None, f"sample {sample.seq}" if sample else "no sample"

        wait_until(seen, deadline=Deadline.after(what, limit), pause=timedelta(milliseconds=5))

    def _sequence(self) -> int:
        sample = self._latest()
        return sample.seq if sample else 0

    @property
    def _baseline(self) -> Sample | None:
        path = self.bundle.root / self.tested / "checkpoints.jsonl"
        samples = parse_checkpoints(path.read_bytes()).samples if path.exists() else ()
        return next((s for s in samples if s.name == "baseline"), None)
