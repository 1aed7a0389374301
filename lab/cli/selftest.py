# SPDX-License-Identifier: GPL-2.0-only
"""`lab selftest`: a session of the kernel's own tests, in guests that boot the kernel."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli import complete
from lab.cli.exits import INTERRUPTED, LAB_FAILED, code_of
from lab.cli.options import ResultsFolder
from lab.text.terminal import Console, say

if TYPE_CHECKING:
    from lab.plan.session import SessionPlan
    from lab.report.model import RunResult
    from lab.session.conduct import Conducted

EXPERIMENT = "selftests"
DEFAULT_NIC = "e1000e-split"


def selftest(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR|NAME...",
            help="Directory below tools/testing/selftests, or one test of it: net/msg_zerocopy.",
        ),
    ],
    kernel: Annotated[
        str, typer.Option("--kernel", "-k", help="Kernel to boot.", autocompletion=complete.kernels)
    ] = "newest",
    source: Annotated[
        Path | None, typer.Option("--source", help="Source tree of the kernel; default: the one it was built from.")
    ] = None,
    nic: Annotated[
        str,
        typer.Option("--nic", help="NIC profile of tests that need two machines.", autocompletion=complete.nics),
    ] = DEFAULT_NIC,
    timeout: Annotated[int, typer.Option("--timeout", help="Seconds for each test; 0: what suits the test.")] = 0,
    results: ResultsFolder = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per test on standard output.")] = False,
) -> None:
    """Run kernel selftests in guests, and judge them.

    A test of one machine runs in a guest of its own. Tests of drivers/net run in the receiver of a pair and reach the
    sender over the link by SSH.

    [cyan]lab selftest cgroup/test_memcontrol net/msg_zerocopy --kernel stock[/cyan]

    [cyan]lab selftest drivers/net/ping.py --source ~/linux --nic virtio[/cyan]
    """
    from lab.cli.verdicts import listening
    from lab.host.paths import results_folder
    from lab.report.parts import as_record
    from lab.session.conduct import conduct
    from lab.spec.request import SessionRequest

    request = SessionRequest(
        names=tuple(names),
        kernels=(kernel,),
        nics=(nic,),
        command=shlex.join(["lab", *sys.argv[1:]]),
        experiment=EXPERIMENT,
        options={"source": str(source) if source else "", "timeout": str(timeout)},
    )

    def told(plan: SessionPlan, _number: int, result: RunResult) -> None:
        if as_json:  # people get a table at the end
            say(json.dumps(as_record(result, str(plan.folder / result.bundle)), allow_nan=False))

    with listening(told=told) as listener:
        done = conduct(request, results_folder(results), listener)
    raise typer.Exit(_close(done, as_json=as_json))


def _close(done: Conducted, *, as_json: bool) -> int:
    """The table, where the results are, and the exit status."""
    plan, session = done.plan, done.session()
    if not as_json:
        tell(session.results, plan.folder)
        say(f"results: {plan.folder}")
    missing = {run.id for run in plan.runs} - {result.manifest.run for result in session.results}
    if missing:
        say(f"{len(missing)} of {len(plan.runs)} tests left no bundle; what happened: {done.log}", err=True)
    if done.interrupted:
        return INTERRUPTED
    return LAB_FAILED if missing else code_of(session.results)


def tell(results: Sequence[RunResult], folder: Path) -> None:
    """The table, and below it what is wrong with whom."""
    from lab.report.parts import details, table

    Console().print(table(results))
    for line in details(results, folder.as_posix()):
        say(line)
