# SPDX-License-Identifier: GPL-2.0-only
"""`lab run`: what is asked for, and in which way it is to be carried out (lab.cli.running)."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from lab.cli import complete
from lab.cli.exits import FOR_BISECT
from lab.cli.options import Carrier, Cold, Hosts, Known, ResultsFolder, pairs_of
from lab.cli.running import Way, carried_out


def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Suites, cases, FOLDER, FOLDER:CASE; default: `default`.",
            autocompletion=complete.suites_and_cases,
        ),
    ] = None,
    suite: Annotated[
        list[str] | None,
        typer.Option(
            "--suite", help="Suite to run, the same as its name alone; repeatable.", autocompletion=complete.suites
        ),
    ] = None,
    kernel: Annotated[
        list[str] | None,
        typer.Option("--kernel", "-k", help="Kernel to boot; repeatable.", autocompletion=complete.kernels),
    ] = None,
    nic: Annotated[
        list[str] | None, typer.Option("--nic", help="NIC profile; repeatable.", autocompletion=complete.nics)
    ] = None,
    pairs: Annotated[
        str, typer.Option("-n", "--pairs", help="Pairs at once: a number, or auto for what is fastest here.")
    ] = "auto",
    repeat: Annotated[int, typer.Option("--repeat", help="Run each cell that many times.")] = 0,
    connect: Annotated[
        str, typer.Option("--connect", help="libvirt URI; `embed` needs no daemon.", autocompletion=complete.uris)
    ] = "embed",
    reference: Annotated[
        str,
        typer.Option(
            "--reference",
            help="Kernel that `cost` compares with; by default the same without its design.",
            autocompletion=complete.kernels,
        ),
    ] = "",
    family: Annotated[
        str,
        typer.Option(
            "--family",
            help="What streams go over, ipv4 or ipv6; default: either in turn.",
            autocompletion=complete.families,
        ),
    ] = "",
    accel: Annotated[
        str,
        typer.Option(
            "--accel", help="auto, kvm or tcg; auto proves KVM by booting.", autocompletion=complete.accelerators
        ),
    ] = "auto",
    cold: Cold = False,
    results: ResultsFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per run on standard output.")] = False,
    known: Known = None,
    timing: Annotated[bool, typer.Option("--timing", help="Show where the time of each run went.")] = False,
    hosts: Hosts = None,
    carrier: Carrier = "parallel",
    resume: Annotated[
        Path | None,
        typer.Option(
            "--resume", help="With --hosts: do what is missing of a session that was cut off.", metavar="SESSION"
        ),
    ] = None,
    first: Annotated[
        bool,
        typer.Option(
            "-x",
            "--exitfirst",
            help="Begin no run after the first FAIL, ERROR or MISS that is not as predicted. What has begun ends.",
        ),
    ] = False,
    timeout: Annotated[
        str,
        typer.Option(
            "--timeout",
            metavar="TIME",
            help="Begin no run after so long: 90s, 30min, 2h. What has begun ends; what was not run makes it exit 3.",
        ),
    ] = "",
    expect: Annotated[
        str,
        typer.Option(
            "--expect",
            metavar="WORD",
            help="Expect PASS, FAIL, ERROR or DONE of every run: exit code and reports go by it, not by predictions.",
            autocompletion=complete.expected,
        ),
    ] = "",
    rerun: Annotated[
        bool,
        typer.Option(
            "--rerun-failed",
            help="What was not as predicted in the newest session, or not run; with --kernel, on that kernel.",
        ),
    ] = False,
    of: Annotated[
        str,
        typer.Option(
            "--of", metavar="SESSION", help="With --rerun-failed: of this session.", autocompletion=complete.sessions
        ),
    ] = "",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Say what would be run here, on how many pairs and how long. Fetches, builds, boots, writes nothing.",
        ),
    ] = False,
    bisect: Annotated[
        bool, typer.Option(FOR_BISECT, help="Exit as git bisect run expects: 1 a FAIL, 125 nothing is known.")
    ] = False,
) -> None:
    """Run suites or cases on pairs of guests, and judge them.

    [cyan]lab run ~/my-suite:my-case[/cyan] runs a case of an experiment that lies elsewhere.
    """
    from lab.archive.known import use_known
    from lab.host.paths import results_folder
    from lab.session.suites import with_folders
    from lab.spec.request import SessionRequest

    use_known(known)
    request = SessionRequest(
        names=with_folders(names or ()),
        suites=tuple(suite or ()),
        kernels=tuple(kernel or ()),
        nics=tuple(nic or ()),
        repeat=repeat,
        pairs=pairs_of(pairs),
        connect=connect,
        accelerator=accel,
        reference=reference,
        family=family,
        cold=cold,
        expect=expect.upper(),
        first=first,
        seconds=_seconds(timeout),
        command=shlex.join(["lab", *sys.argv[1:]]),
    )
    way = Way(
        results_folder(results),
        hosts=hosts,
        carrier=carrier,
        resume=resume,
        rerun=rerun,
        of=of,
        dry_run=dry_run,
        as_json=as_json,
        timing=timing,
        bisect=bisect,
    )
    raise typer.Exit(carried_out(request, way))


def _seconds(timeout: str) -> float:
    from lab.errors import BadInput
    from lab.units import seconds_of

    seconds = seconds_of(timeout) if timeout else 0.0
    if seconds is None or (timeout and not seconds):
        raise BadInput([f"--timeout {timeout!r}: write 90s, 30min or 2h"])
    return seconds
