# SPDX-License-Identifier: GPL-2.0-only
"""Exit codes, and how an error is told: one clear message on standard error, never a traceback."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from lab.errors import BadInput, LabError
from lab.text.terminal import say
from lab.text.words import MOST, clipped

if TYPE_CHECKING:
    from lab.report.model import RunResult

AS_PREDICTED = 0
OTHER_VERDICT = 1
BAD_INPUT = 2
LAB_FAILED = 3
INTERRUPTED = 130

GOOD, BAD, UNTESTABLE, NO_SENSE = 0, 1, 125, 128
"""What `git bisect run` understands; above 127 it stops."""
FOR_BISECT = "--for-bisect"
FOR_GIT = {BAD_INPUT: NO_SENSE, LAB_FAILED: UNTESTABLE}
"""Our codes that git would take for a bad commit, and what it is told instead."""

# What the host refuses is told like an error of the lab; any other OSError is a fault of ours.
_REFUSALS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN),
)
_FEW_FILES = "\n  try: a higher ulimit -n"


def code_of(results: Iterable[RunResult]) -> int:
    """3: a MISS or ERROR that was not predicted, or nothing but SKIPs. 1: another verdict not predicted. Else 0.

    No runs at all give 0: a caller that asked for some and got none says so itself. docs/exits.md has every row.
    """
    from lab.verdict.model import Word

    told = tuple(results)
    if told and all(result.verdict.word is Word.SKIP for result in told):
        return LAB_FAILED  # nothing was tried, predicted or not
    surprises = {result.verdict.word for result in told if result.disagrees}
    if surprises & {Word.MISS, Word.ERROR}:
        return LAB_FAILED
    return OTHER_VERDICT if surprises else AS_PREDICTED


def code_for_bisect(results: Iterable[RunResult], *, lost: bool = False) -> int:
    """1 where anything is a FAIL, 0 where all is PASS or DONE, SKIPs apart. Else 125: a run, or one that was lost, says
    nothing about the kernel, so git leaves the commit out. By what was measured, whatever was predicted."""
    from lab.verdict.model import Word

    words = {result.verdict.word for result in results}
    if Word.FAIL in words:
        return BAD
    known = words <= {Word.PASS, Word.DONE, Word.SKIP} and words & {Word.PASS, Word.DONE} and not lost
    return GOOD if known else UNTESTABLE


def told(exc: LabError) -> str:
    """`lab: message`; several problems one below the other; what to try in the last line."""
    if isinstance(exc, BadInput) and len(exc.problems) > 1:
        problems = (f"  - {clipped(problem, MOST)}" for problem in exc.problems)
        text = "\n".join([f"lab: {len(exc.problems)} problems", *problems])
    else:
        text = f"lab: {clipped(exc.message, MOST)}"
    return f"{text}\n  try: {exc.hint}" if exc.hint else text


def _use_settings(ctx: Any) -> None:  # noqa: ANN401 - see below
    """Have lab.toml give the defaults of the command that comes. Raises BadInput; never where help is wanted."""
    from typer.main import get_command

    from lab.cli import assembled
    from lab.cli.settings import defaults, named, read, settings_file

    words = [*ctx._protected_args, *ctx.args]
    path = None if {"-h", "--help"} & set(words) else settings_file()
    if path is None:
        return
    tables = read(path)
    ctx.default_map = defaults(path, tables, get_command(assembled()))  # all: the file may name any command
    if used := tables.get(words[0] if words else ""):
        say(f"defaults from {path}: {', '.join(named(used))}", err=True)


class LabGroup(TyperGroup):
    """The command group; turns the lab's errors into a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - a click class, which newer typers no longer take from click
        try:
            _use_settings(ctx)
            return super().invoke(ctx)
        except LabError as exc:
            say(told(exc), err=True)
            raise typer.Exit(BAD_INPUT if isinstance(exc, BadInput) else LAB_FAILED) from exc
        except OSError as exc:
            if exc.errno not in _REFUSALS:
                raise
            hint = _FEW_FILES if exc.errno in (errno.EMFILE, errno.ENFILE) else ""
            say(f"lab: {exc.strerror}: {exc.filename or 'this host'}{hint}", err=True)
            raise typer.Exit(LAB_FAILED) from exc
