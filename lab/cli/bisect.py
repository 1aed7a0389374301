# SPDX-License-Identifier: GPL-2.0-only
"""`lab bisect`: which package, commit or patch broke a case."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli import complete
from lab.cli.exits import AS_PREDICTED, INTERRUPTED, LAB_FAILED, OTHER_VERDICT
from lab.cli.options import Carrier, Hosts, ResultsFolder, conducting
from lab.errors import BadInput, tried
from lab.text.terminal import say

if TYPE_CHECKING:
    from lab.campaign.bisect.model import Asked, Search
    from lab.session.conduct import Conducts

ANEW = {"resume", "budget", "pairs", "hosts", "carrier"}
"""Parameters that a search that goes on may be given anew."""

bisect = typer.Typer(rich_markup_mode="rich", invoke_without_command=True)


@dataclass(frozen=True)
class Where:
    """Which hosts have the sessions of a search: this one, or those of a list."""

    hosts: Path | None
    carrier: str

    def conducting(self) -> Conducts:
        """Raises BadInput."""
        return conducting(self.hosts, self.carrier)

    @property
    def options(self) -> str:
        """The options that say so, for a command line."""
        if not self.hosts:
            return ""
        return f" --hosts {shlex.quote(str(self.hosts))} --carrier {shlex.quote(self.carrier)}"


Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of a search, as lab bisect told it.")]


@bisect.callback()
def main(
    context: typer.Context,
    case: Annotated[str, typer.Option("--case", help="Case that fails.", autocompletion=complete.cases)] = "",
    nic: Annotated[str, typer.Option("--nic", help="NIC profile.", autocompletion=complete.nics)] = "e1000e-split",
    packages: Annotated[
        str, typer.Option("--packages", help="FROM..TO: kernels of the distribution, FROM is good. Nothing is built.")
    ] = "",
    repo: Annotated[str, typer.Option("--repo", help="Kernel git tree; it is read, not changed.")] = "",
    good: Annotated[str, typer.Option("--good", help="Revision without the failure.")] = "",
    bad: Annotated[str, typer.Option("--bad", help="Revision with it.")] = "",
    series: Annotated[str, typer.Option("--series", help="An mbox or a directory: which patch of it?")] = "",
    base: Annotated[str, typer.Option("--base", help="What the series is for: 6.12, a TARBALL, GIT_DIR\\[#REV].")] = "",
    config: Annotated[
        list[Path] | None, typer.Option("--config", help="Config fragment for what is built; repeatable.")
    ] = None,
    design: Annotated[
        str,
        typer.Option("--design", help="Design that the kernels claim to be.", autocompletion=complete.designs),
    ] = "",
    sought: Annotated[
        str,
        typer.Option("--sought", help="Finding to look for, no-FINDING, or PASS. Default: what the bad end shows."),
    ] = "",
    confidence: Annotated[float, typer.Option("--confidence", help="How sure the answer has to be.")] = 0.99,
    budget: Annotated[str, typer.Option("--budget", help="Stop after 40runs, 2h, or '40runs|2h'.")] = "",
    family: Annotated[
        str,
        typer.Option("--family", help="ipv4 or ipv6; default: either in turn.", autocompletion=complete.families),
    ] = "",
    pairs: Annotated[
        str, typer.Option("-n", "--pairs", help="Pairs at once, a suspect on each: a number, or auto.")
    ] = "auto",
    resume: Annotated[Path | None, typer.Option("--resume", metavar="DIR", help="Go on with a search.")] = None,
    results: ResultsFolder = None,
    hosts: Hosts = None,
    carrier: Carrier = "parallel",
) -> None:
    """Find which kernel package, commit or patch broke a case, flakes reckoned with.

    [cyan]lab bisect --case hold --packages 6.12..7.3[/cyan]
    [cyan]lab bisect --case hold --repo ~/linux --good v6.12 --bad HEAD[/cyan]
    [cyan]lab bisect --case hold --base 6.12 --series v3.mbox[/cyan]

    Both ends are run first. Then what tells most for its time, until one suspect is the culprit with
    the confidence asked for, or it is as sure that none is. Culprit and parent are run in turns at the end.
    A run without a verdict, or with another failure, steers nothing.

    Ctrl-C, and kill -9 too, lose no run that is over: [cyan]lab bisect --resume DIR[/cyan] goes on.

    Exit code: [bold]0[/bold] a culprit; [bold]1[/bold] sure that there is none, or the ends are wrong;
    [bold]3[/bold] no answer: the budget is spent, or what remains cannot be told apart.
    """
    if context.invoked_subcommand:
        return
    from lab.campaign.bisect.asking import budget_of, kind_of
    from lab.campaign.bisect.model import Asked, Budget
    from lab.campaign.bisect.record import new_folder
    from lab.cli.options import pairs_of
    from lab.host.interrupt import end_in_order
    from lab.host.paths import results_folder

    end_in_order()  # make must not outlive a SIGTERM
    where = Where(hosts, carrier)
    if resume is not None:
        _resumed(context, resume, budget, pairs, where)
        return
    problems: list[str] = [] if case else ["--case is missing"]
    limit = tried(problems, lambda: budget_of(budget))
    kind = tried(problems, lambda: kind_of(packages, repo, series, (good, bad)))
    folder = results_folder(results)
    asked = kind and Asked(
        kind=kind,
        case=case,
        nic=nic,
        good=good,
        bad=bad,
        source={"packages": packages, "commits": repo, "patches": series}[kind],
        base=base,
        configs=tuple(str(path) for path in config or ()),
        design=design,
        sought=sought,
        confidence=confidence,
        budget=limit or Budget(),
        family=family,
        pairs=pairs_of(pairs),
        results=str(folder),
        command=shlex.join(["lab", *sys.argv[1:]]),
    )
    search, conduct = _begun(asked, where, problems)
    _searched(new_folder(folder), search, conduct, where)


@bisect.command()
def show(folder: Folder) -> None:
    """Show a search: what is believed of each suspect, and its runs as marks."""
    from lab.campaign.bisect.record import load
    from lab.campaign.bisect.wording import shown

    for line in shown(load(_found(folder))):
        say(line)


@bisect.command()
def log(folder: Folder) -> None:
    """Print a search as `git bisect log` would: `git bisect replay` takes it."""
    from lab.campaign.bisect import wording
    from lab.campaign.bisect.record import load

    for line in wording.log(load(_found(folder))):
        say(line)


@bisect.command()
def report(
    folder: Folder,
    kcidb: Annotated[
        str, typer.Option("--kcidb", metavar="ORIGIN", help="Print its culprit as an issue of KernelCI's KCIDB (v5.3).")
    ] = "",
) -> None:
    """Print the report of a search, to be sent to a list."""
    from lab.campaign.bisect.kcidb import issue
    from lab.campaign.bisect.mail import mail
    from lab.campaign.bisect.record import load

    search = load(_found(folder))
    say((issue(search, kcidb) if kcidb else mail(search)).rstrip("\n"))


def _found(folder: Path) -> Path:
    """As named, or by that name in the results folder."""
    from lab.campaign.bisect.record import FILE
    from lab.host.paths import results_root

    inside = results_root() / folder.name
    return inside if not folder.exists() and (inside / FILE).is_file() else folder.expanduser()


def _typed(context: typer.Context) -> set[str]:
    """Names of the parameters that stand on the command line: lab.toml and the environment give defaults."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}


def _begun(asked: Asked | None, where: Where, problems: list[str]) -> tuple[Search, Conducts]:
    """A new search, and who conducts its sessions. Raises BadInput with these problems, and those of either."""
    from lab.campaign.bisect.asking import begun

    hints = ["lab bisect --help"]
    conduct = tried(problems, where.conducting, hints)
    search = tried(problems, lambda: begun(asked), hints) if asked is not None else None
    if problems or search is None or conduct is None:
        raise BadInput(problems, hint=hints[-1])
    return search, conduct


def _resumed(context: typer.Context, folder: Path, budget: str, pairs: str, where: Where) -> None:
    from lab.campaign.bisect.asking import budget_of, checked_pairs
    from lab.campaign.bisect.record import load
    from lab.cli.options import pairs_of

    typed = _typed(context)
    if typed - ANEW:
        raise BadInput(
            ["--resume goes on with what was asked for; --budget, --pairs and --hosts alone can be given anew"],
            hint=f"lab bisect --resume {folder}",
        )
    conduct = where.conducting()
    found = _found(folder)
    search = load(found)
    if budget:
        search.asked = replace(search.asked, budget=budget_of(budget))
    if "pairs" in typed:
        search.asked = replace(search.asked, pairs=checked_pairs(pairs_of(pairs)))
    _searched(found, search, conduct, where)


def _searched(folder: Path, search: Search, conduct: Conducts, where: Where) -> None:
    """Run it to its end, keeping all of it in the folder whatever happens. Ends the command with its exit status."""
    from lab.campaign.bisect import wording
    from lab.campaign.bisect.model import Budget, Outcome
    from lab.campaign.bisect.record import held
    from lab.campaign.bisect.work import MAIL, search_on
    from lab.cli.verdicts import listening

    again = f"lab bisect --resume {shlex.quote(str(folder))}{where.options}"
    with held(folder), _told_how(again):
        say(f"{wording.headline(search)}; kept in {folder}", err=True)
        with listening() as listener:
            search_on(folder, search, listener, conduct, _note)
    for line in wording.shown(search):
        say(line)
    say(f"report: {folder / MAIL}")
    if search.ended is Outcome.OPEN:
        more = " --budget MORE" if search.asked.budget != Budget() else ""
        say(f"to go on: {again}{more}", err=True)
    codes = {Outcome.CULPRIT: AS_PREDICTED, Outcome.NONE: OTHER_VERDICT, Outcome.BRACKET: OTHER_VERDICT}
    raise typer.Exit(codes.get(search.ended, LAB_FAILED))


@contextlib.contextmanager
def _told_how(again: str) -> Iterator[None]:
    """However a search is stopped, the user learns how to go on."""
    from lab.errors import LabTrouble

    try:
        yield
    except KeyboardInterrupt:
        say(f"stopped; no run that is over is lost. To go on: {again}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except LabTrouble as exc:
        exc.hint = "; ".join(filter(None, (exc.hint, f"then {again}")))
        raise


def _note(text: str) -> None:
    say(text, err=True)
