# SPDX-License-Identifier: GPL-2.0-only
"""A history of commits: what git says of a range, merges included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from lab.campaign.bisect.model import Asked, Range, Suspect
from lab.errors import BadInput, CommandFailed
from lab.host.commands import run
from lab.host.filecache import key_of
from lab.kernels import recipes
from lab.kernels.recipe import Recipe
from lab.kernels.series import Patch, Series
from lab.text.words import one_line

MOST = 1500
"""Commits between the ends. Beyond, packages say more for less."""
_FIELDS = ("%H", "%P", "%T", "%an <%ae>", "%s", "%(trailers:key=Fixes,valueonly,separator=%x01)")
_FORMAT = "%x00".join(_FIELDS) + "%x1e"


def git(repository: Path, *argv: str) -> str:
    """What git says. Raises CommandFailed, HostTrouble."""
    base = ["git", "-c", "safe.directory=*", "-c", "core.quotePath=false", "-C", str(repository)]
    return run([*base, *argv]).decode("utf-8", "surrogateescape")


def commits_between(asked: Asked) -> Range:
    """Raises BadInput with every problem of repository and ends."""
    repository = Path(asked.source).expanduser().resolve()
    problems: list[str] = []
    good, bad = (_commit(repository, option, text, problems) for option, text in _ends(asked))
    if problems or not (good and bad):
        raise BadInput(problems, hint="--repo DIR --good REV --bad REV, the revisions as git names them")
    base = git(repository, "merge-base", good, bad).strip() if _related(repository, good, bad) else ""
    if base != good or good == bad:
        why = (
            "they are the same" if good == bad else f"it is no ancestor of it; both go back to {base[:12] or 'nothing'}"
        )
        raise BadInput(
            [f"--good {asked.good} ({good[:12]}) cannot be the good end of {asked.bad} ({bad[:12]}): {why}"],
            hint="the good end has to be in the history of the bad one; see whether their merge base is good",
        )
    count = int(git(repository, "rev-list", "--count", f"{good}..{bad}"))
    if count > MOST:
        raise BadInput(
            [f"{count} commits between {asked.good} and {asked.bad}, {MOST} at most"],
            hint="lab bisect --packages FROM..TO narrows the range without a build",
        )
    (first,) = _read(git(repository, "log", "--no-walk", f"--format={_FORMAT}", good), asked)
    suspects = _read(
        git(repository, "log", "--topo-order", "--reverse", f"--format={_FORMAT}", f"{good}..{bad}"), asked
    )
    return Range("commits", first, tuple(suspects))


def recipe_of(asked: Asked, suspect: Suspect) -> Recipe:
    """The kernel of a commit. Raises BadInput."""
    repository, bad = Path(asked.source).expanduser().resolve(), _bad_end(asked)
    base = replace(
        bad.base,
        spec=f"{repository}#{suspect.name}",
        label=f"{repository}#{suspect.name[:12]}",
        key=suspect.name,
        revision=suspect.name,
    )
    return replace(bad, base=base, name=suspect.kernel.partition("@")[0])


@lru_cache(maxsize=4)
def _bad_end(asked: Asked) -> Recipe:
    """All recipes of a range differ from this one in their commit alone: git is asked once."""
    configs = [Path(path) for path in asked.configs]
    return recipes.custom(f"{Path(asked.source).expanduser().resolve()}#{asked.bad}", "", configs, "bisected")


def without(asked: Asked, bad: Suspect, culprit: Suspect) -> Recipe:
    """The bad end with the culprit taken out again; whether it can be is seen when it is built."""
    repository = Path(asked.source).expanduser().resolve()
    diff = git(repository, "diff", "--binary", "--no-color", "--no-ext-diff", culprit.name, f"{culprit.name}^")
    patch = Patch(
        f'Revert "{culprit.subject}"', "lab <lab@localhost>", f"This reverts {culprit.name}.\n", diff, "revert"
    )
    return replace(
        recipe_of(asked, replace(bad, kernel=f"{kernel_name(bad.name, asked)}-without-{culprit.name[:8]}")),
        series=Series((patch,)),
    )


def kernel_name(commit: str, asked: Asked) -> str:
    """What a commit's kernel is called from now on: another config is another kernel."""
    key = "".join(f"-{key_of(*(Path(path).read_bytes() for path in asked.configs))[:6]}" for _ in asked.configs[:1])
    return f"bisect-{commit[:12]}{key}"


def _ends(asked: Asked) -> tuple[tuple[str, str], ...]:
    return ("--good", asked.good), ("--bad", asked.bad)


def _commit(repository: Path, option: str, text: str, problems: list[str]) -> str:
    if not repository.is_dir():
        told = f"--repo {repository}: there is no such folder"
        problems += [told] if told not in problems else []
        return ""
    if not text:
        return ""  # that it is missing is told with the options
    try:
        return git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{text}^{{commit}}").strip()
    except CommandFailed:
        problems.append(f"{option} {text!r}: no such commit in {repository}")
        return ""


def _related(repository: Path, good: str, bad: str) -> bool:
    try:
        git(repository, "merge-base", good, bad)
    except CommandFailed:
        return False
    return True


def _read(log: str, asked: Asked) -> Sequence[Suspect]:
    found = []
    for record in log.split("\x1e"):
        if not record.strip():
            continue
        commit, parents, tree, author, subject, fixes = record.strip("\n").split("\0")
        name = kernel_name(commit, asked)
        found.append(
            Suspect(
                commit,
                f"{name}@{asked.design}" if asked.design else name,
                one_line(subject, 300),
                one_line(author, 300),
                tuple(one_line(line, 300) for line in fixes.split("\x01") if line.strip()),
                tuple(parents.split()),
                tree,
            )
        )
    return found
