# SPDX-License-Identifier: GPL-2.0-only
"""What a report is made from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lab.evidence.manifest import Manifest
from lab.evidence.timing import Timing
from lab.verdict.model import Verdict, Word
from lab.verdict.predict import agrees


@dataclass(frozen=True)
class RunResult:
    """One judged run. `bundle` is the path of its bundle relative to the place of the report, with `/`.

    timing is where its wall time went; None where the bundle does not say.
    known are the known issues that excuse it, a line each. They change no word and no exit code.
    """

    manifest: Manifest
    verdict: Verdict
    bundle: str
    timing: Timing | None = None
    known: tuple[str, ...] = ()

    def known_as(self, issues: tuple[str, ...]) -> RunResult:
        """The same run, with what is known of it."""
        return replace(self, known=issues) if issues else self

    @property
    def predicted(self) -> str:
        """The word that was predicted for this run."""
        return self.manifest.predicted

    @property
    def as_predicted(self) -> bool:
        """The measured word is the predicted one, or the prediction was open and something was measured."""
        return agrees(self.verdict.word, self.predicted, kernel_fault=self.verdict.kernel_fault)

    @property
    def instead_of(self) -> str:
        """What was predicted, where it is not what came: the word alone would not tell when it is the same."""
        same = self.verdict.word.value == self.predicted
        return f"{self.predicted} without a fault of the kernel" if same and self.disagrees else self.predicted

    @property
    def disagrees(self) -> bool:
        """The run says something else than was predicted. A SKIP says nothing, so it never disagrees."""
        return self.verdict.word is not Word.SKIP and not self.as_predicted


@dataclass(frozen=True)
class Session:
    """All runs of one command. `started` ISO 8601; `seconds` wall time of the whole; `command` as it was typed.

    pairs is how many ran at once.
    """

    name: str
    started: str
    results: tuple[RunResult, ...]
    seconds: float
    command: str
    pairs: int = 1

    @property
    def tried(self) -> bool:
        """Whether anything of what was asked for could be tried."""
        return any(result.verdict.word is not Word.SKIP for result in self.results)
