# SPDX-License-Identifier: GPL-2.0-only
"""`lab report`: a session's reports, made again from its bundles; or what is new in it, as a mail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.find import find, is_session, newest_session, pruned_of
from lab.cli.options import Known, ResultsFolder, RunOrSession
from lab.errors import BadInput
from lab.text.terminal import say

if TYPE_CHECKING:
    from lab.archive.index import Index
    from lab.report.mail import Letter


def report(
    name: RunOrSession = "",
    mail: Annotated[
        bool, typer.Option("--mail", help="Print what changed since the session before, as the text of a mail.")
    ] = False,
    to: Annotated[list[str] | None, typer.Option("--to", metavar="ADDRESS", help="Send that mail; repeatable.")] = None,
    sender: Annotated[str, typer.Option("--from", metavar="ADDRESS", help="Who sends it, and reports it.")] = "",
    smtp: Annotated[str, typer.Option("--smtp", metavar="HOST[:PORT]", help="Instead of sendmail -t.")] = "",
    kcidb: Annotated[
        str, typer.Option("--kcidb", metavar="ORIGIN", help="Print it as KernelCI's KCIDB takes it (v5.3).")
    ] = "",
    known: Known = None,
    results: ResultsFolder = None,
) -> None:
    """Write a session's reports again (HTML, Markdown, JUnit XML, KTAP, JSON Lines).

    [cyan]lab report --mail[/cyan] prints what changed, and writes nothing. A mail is sent only where
    [cyan]--to[/cyan] says to whom; where nothing changed there is none.
    """
    from lab.archive.known import use_known
    from lab.host.paths import results_folder

    _check(mail=mail, to=to or (), sender=sender, smtp=smtp)
    use_known(known)
    root = results_folder(results)
    found = find(name, root) if name else newest_session(root)
    folder = found if is_session(found) else found.parent
    if not is_session(folder):
        raise BadInput([f"{found} is a run without its session"], hint=f"lab show {found}")
    if kcidb:
        _kcidb(folder, kcidb)
        return
    if mail:
        _mail(folder, results, to or [], sender, smtp)
        return
    if gone := pruned_of(folder):
        told = (
            f"{folder}: {len(gone)} of its bundles were pruned, so its report cannot be made again; what is there stays"
        )
        raise BadInput([told], hint=f"lab archive show {folder.name}")
    from lab.archive.reports import REPORT, stored_plan, write_reports

    write_reports(stored_plan(folder))
    say(folder / REPORT)


def _kcidb(folder: Path, origin: str) -> None:
    from lab.archive.known import known_issues
    from lab.archive.reports import read_session
    from lab.report.kcidb import render

    say(render(read_session(folder), origin, known_issues()).rstrip("\n"))


def _check(*, mail: bool, to: list[str] | tuple[()], sender: str, smtp: str) -> None:
    """Raises BadInput with all problems."""
    from lab.host.post import address_problem, server

    problems = [problem for each in (*to, *([sender] if sender else ())) if (problem := address_problem(each))]
    if not mail and (to or sender or smtp):
        problems.append("--to, --from and --smtp are about a mail: add --mail")
    try:
        server(smtp) if smtp else None
    except BadInput as exc:
        problems += exc.problems
    if problems:
        raise BadInput(problems, hint="lab report --mail --to somebody@example.org")


def _mail(folder: Path, results: Path | None, to: list[str], sender: str, smtp: str) -> None:
    from email.utils import format_datetime

    from lab.archive.letter import session_letter
    from lab.cli.archive import asked
    from lab.report.mail import body, message, subject

    def ask(index: Index, root: Path) -> tuple[Letter, str]:
        return session_letter(index, root, folder, sender)

    letter, started = asked(results, ask)
    if not letter.news:
        say(f"{folder.name}: nothing new; known and still there: {letter.still}", err=True)
        return
    if not to:
        say(f"Subject: [lab] {subject(letter)}\n\n{body(letter)}".rstrip("\n"))
        return
    import datetime

    from lab.host.post import send

    day = format_datetime(datetime.datetime.fromisoformat(started))
    send(message(letter, to, sender or _myself(), day), smtp)
    say(f"sent to {', '.join(to)}: {subject(letter)}")


def _myself() -> str:
    import getpass
    import socket

    return f"{getpass.getuser()}@{socket.gethostname()}"
