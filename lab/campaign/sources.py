# SPDX-License-Identifier: GPL-2.0-only
"""What a target of a nightly is tonight: sources refreshed, and the kernel named that is made of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.contracts import BootableKernel, Progress
from lab.errors import LabError
from lab.host.commands import run
from lab.kernels import lists, recipes
from lab.spec.night import Target

PREFIX = "nightly-"


@dataclass(frozen=True)
class Source:
    """A kernel that can be named. commit  of a branch;  notes  what could not be refreshed"""

    name: str
    commit: str = ""
    notes: tuple[str, ...] = ()


def refresh_lists(progress: Progress) -> tuple[str, ...]:
    """Read the package lists that are older than a day. What cannot be read is told, and used as it was."""
    try:
        due = lists.due(lists.listings())
        return tuple(listing.told for listing in lists.refresh(due, progress) if listing.told)
    except (LabError, OSError) as exc:
        return (f"package lists could not be refreshed: {exc}",)


def source_of(target: Target, folder: Path, progress: Progress) -> Source:
    """The kernel of a target; paths are relative to `folder`. Raises BadInput, LabTrouble."""
    if target.kernel:
        return Source(target.kernel)
    configs = [_path(folder, text) for text in target.config]
    name = f"{PREFIX}{target.name}"
    notes: tuple[str, ...] = ()
    if target.repo:
        repo = _path(folder, target.repo)
        notes = _fetched(repo, target.branch, progress)
        base, series = f"{repo}#{target.branch}", ""
    else:
        base, series = target.base, str(_path(folder, target.series))
    recipe = recipes.custom(base, series, configs, name, refresh=not target.repo)
    recipes.remember(recipe)
    design = f"@{target.design}" if target.design else ""
    return Source(f"{name}{design}", recipe.base.revision if recipe.base.kind == "git" else "", notes)


def _path(folder: Path, text: str) -> Path:
    return folder / Path(text).expanduser()


def _fetched(repo: Path, branch: str, progress: Progress) -> tuple[str, ...]:
    """Fetch what a remote branch follows. One that cannot be had is told: what is there is tested."""
    git = ["git", "-c", "safe.directory=*", "-C", str(repo)]
    remote, slash, _ = branch.partition("/")
    try:
        if not slash or remote not in run([*git, "remote"]).decode().split():
            return ()
        progress(f"fetching {branch} into {repo}")
        run(["timeout", "1800", *git, "fetch", "--quiet", "--no-tags", remote], env={"GIT_TERMINAL_PROMPT": "0"})
    except LabError as exc:
        return (f"{repo}: {remote} could not be fetched, so what was there is tested: {exc.message.splitlines()[-1]}",)
    return ()


def made(name: str, progress: Progress) -> BootableKernel:
    """Build or fetch it. Raises BadInput, LabTrouble."""
    from lab.guestimage.build import ensure_init
    from lab.kernels.bootable import make_bootable
    from lab.kernels.catalogue import resolve

    (kernel,) = resolve([name])
    return make_bootable(kernel, init=ensure_init(progress), progress=progress)


def check(target: Target, folder: Path) -> list[str]:
    """What is wrong with the places that a target names, before anything is made."""
    problems = []
    for key, text in (("repo", target.repo), ("series", target.series), *(("config", c) for c in target.config)):
        if text and not _path(folder, text).exists():
            problems.append(f"target {target.name}: {key}: {_path(folder, text)} is not there")
    return problems
