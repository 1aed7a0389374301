# SPDX-License-Identifier: GPL-2.0-only
"""`lab site`: all that the archive knows, as pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import Known, ResultsFolder
from lab.errors import HostTrouble
from lab.text.terminal import say

if TYPE_CHECKING:
    from lab.archive.index import Index
    from lab.archive.site import Built


def site(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder, an empty one, or that of a site.")],
    known: Known = None,
    results: ResultsFolder = None,
) -> None:
    """Write all that the archive knows as pages: cells, sessions, runs, kernels, comparisons.

    They are files that need no server and ask nobody for anything. Called again, it writes what is new.
    """
    from lab.archive.known import use_known
    from lab.cli.archive import asked
    from lab.cli.progress import shown

    use_known(known)

    def ask(index: Index, root: Path) -> Built:
        from lab.archive.site import build

        try:
            with shown() as progress:
                return build(index, root, folder.expanduser(), progress)
        except OSError as exc:
            raise HostTrouble(f"the site cannot be written: {exc.strerror}: {exc.filename}") from exc

    built = asked(results, ask)
    for problem in built.problems[:10]:
        say(problem, err=True)
    say(f"{built.written} pages written, {built.same} as they were, {built.removed} removed")
    say(folder / "index.html")
