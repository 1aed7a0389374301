# SPDX-License-Identifier: GPL-2.0-only
"""`lab nightly`: what is new, told once, night by night."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.exits import AS_PREDICTED, INTERRUPTED, LAB_FAILED, OTHER_VERDICT
from lab.cli.options import Carrier, Hosts, ResultsFolder, conducting
from lab.errors import BadInput, tried
from lab.text.terminal import Console, say

if TYPE_CHECKING:
    from lab.campaign.asked import Asked
    from lab.campaign.nightly import Ended
    from lab.spec.night import NightSpec


def nightly(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="What to test, for how long, and who hears of it.")],
    only: Annotated[list[str] | None, typer.Option("--only", help="Only this target; repeatable.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Only go on with a night that was cut off.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only say what is wrong with the file.")] = False,
    install: Annotated[
        bool, typer.Option("--install", help="Write a timer and a service of systemd, and say how to undo it.")
    ] = False,
    at: Annotated[str, typer.Option("--at", help="When that timer starts a night.")] = "01:30",
    results: ResultsFolder = None,
    hosts: Hosts = None,
    carrier: Carrier = "parallel",
) -> None:
    """Test every night, and speak only when something changed (docs/nightly.md).

    Exit code: [bold]0[/bold] nothing got worse; [bold]1[/bold] something did, and the mail says what;
    [bold]3[/bold] some target could not be tested, or a mail could not be sent, or another nightly
    is at work.
    """
    asked = _asked(file, only or [], results, hosts, carrier)
    if check:
        say(f"{file}: {len(asked.targets)} targets; nothing is wrong with it")
        return
    if install:
        _install(asked, at, hosts, carrier)
        return
    from lab.campaign.nightly import Nightly
    from lab.campaign.tonight import alone, unfinished
    from lab.cli.progress import shown

    with alone(asked.root):
        if resume and not unfinished(asked):
            return
        try:
            with shown() as progress:
                on_terminal = Console(stderr=True).is_terminal
                ended = Nightly(asked, progress if on_terminal else lambda _: None).work()
        except KeyboardInterrupt:
            say(f"interrupted; `lab nightly {file}` goes on where it was", err=True)
            raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(_tell(ended))


def _asked(file: Path, only: list[str], results: Path | None, hosts: Path | None, carrier: str) -> Asked:
    """The file, looked through. Raises BadInput with all of its problems."""
    from lab.archive.known import use_known
    from lab.campaign.asked import Asked
    from lab.campaign.sources import check
    from lab.host.paths import results_folder
    from lab.spec.night import load_night
    from lab.spec.suite import unknown

    path = file.expanduser().resolve()
    try:
        spec = load_night(path.read_text(), str(file))
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is no text in UTF-8"
        raise BadInput([f"{file}: {why}"], hint="docs/nightly.md shows one") from exc
    problems = [f"{file}: {told}" for told in _problems(spec, path)]
    problems += [f"{file}: {told}" for target in spec.target for told in check(target, path.parent)]
    problems += unknown("target", only, [target.name for target in spec.target])
    try:
        use_known(path.parent / Path(spec.known).expanduser() if spec.known else None)
    except BadInput as exc:
        problems += exc.problems
    conduct = tried(problems, lambda: conducting(hosts, carrier))
    if problems or conduct is None:
        raise BadInput(problems, hint="docs/nightly.md shows a file")
    chosen = results or (path.parent / Path(spec.results).expanduser() if spec.results else None)
    return Asked(path, spec, results_folder(chosen), tuple(only), conduct)


def _problems(spec: NightSpec, path: Path) -> list[str]:
    """What the file names that is not there."""
    from lab.host.post import address_problem, server
    from lab.plan.nics import NICS
    from lab.session.suites import suite_names
    from lab.spec.night import NAME
    from lab.spec.suite import unknown

    problems = (
        [] if NAME.fullmatch(path.stem) else [f"its name, {path.stem!r}, is what the nightly is called: no blanks"]
    )
    parts = [("", spec.suites, spec.nics), *((f"target {t.name}: ", t.suites, t.nics) for t in spec.target)]
    for where, suites, nics in parts:
        told = [*unknown("suite", suites, suite_names()), *unknown("NIC profile", nics, tuple(NICS))]
        problems += [f"{where}{each}" for each in told]
    addresses = {"mail.to": spec.mail.to, "mail.from": filter(None, [spec.mail.sender])}
    problems += [
        f"{key}: {why}" for key, named in addresses.items() for each in named if (why := address_problem(each))
    ]
    try:
        server(spec.mail.smtp) if spec.mail.smtp else None
    except BadInput as exc:
        problems += [f"mail.smtp: {problem}" for problem in exc.problems]
    return problems


def _tell(ended: Ended) -> int:
    """One line where nothing is new; beside it where the mails lie where something is."""
    say(ended.line)
    for mail in ended.mails:
        say(f"told: {mail}")
    if ended.unsent:
        say(f"lab: a mail waits to be sent, and is tried again the next night: {ended.unsent}", err=True)
    if ended.night.failed or ended.unsent:
        return LAB_FAILED
    return OTHER_VERDICT if ended.night.worse else AS_PREDICTED


def _install(asked: Asked, at: str, hosts: Path | None, carrier: str) -> None:
    from lab.campaign.units import install

    elsewhere = ("--hosts", str(hosts.expanduser().resolve()), "--carrier", carrier) if hosts else ()
    done = install(asked.path, asked.root, asked.spec.hours, at, elsewhere)
    for file in done.files:
        say(f"written: {file}")
    say("nothing is started yet; to start it:")
    for line in done.start:
        say(f"  {line}")
    say("to undo it:")
    for line in done.undo:
        say(f"  {line}")
