# SPDX-License-Identifier: GPL-2.0-only
"""`lab selftest`: the kernel's own tests in guests that boot the kernel, and what became of them."""

from __future__ import annotations

import datetime
import json
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli import complete
from lab.cli.exits import AS_PREDICTED, LAB_FAILED, OTHER_VERDICT
from lab.cli.options import ResultsFolder
from lab.contracts import Progress
from lab.errors import BadInput
from lab.text.terminal import Console, say

if TYPE_CHECKING:
    from lab.plan.nics import NicProfile
    from lab.report.selftest import SelftestResult
    from lab.selftests import Chosen, SourceTree
    from lab.trial.selftest import SelftestPlan

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
    from lab.cli.guests import prepared, replace_process
    from lab.cli.progress import shown
    from lab.host.paths import results_folder
    from lab.selftests import ensure_headers

    root = results_folder(results)
    with shown() as progress:
        profile, tree, chosen = _wanted(names, kernel, source, nic, timeout, progress)
        booted, image = prepared(kernel, progress)
        headers = ensure_headers(tree, progress)
    if not tree.fits(booted.release):
        say(f"note: {tree.root} is Linux {tree.version}, the kernel is {booted.release}", err=True)
    replace_process(own_namespace=profile.link == "tap")
    name = f"selftest-{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"
    folder = root / name
    from lab.trial.selftest import SelftestPlan

    plan = SelftestPlan(folder, folder, tree, headers, booted, image, "", profile, timeout)
    raise typer.Exit(_conduct(plan, chosen, as_json=as_json))


def _wanted(
    names: Sequence[str], kernel: str, source: Path | None, nic: str, timeout: int, progress: Progress
) -> tuple[NicProfile, SourceTree, tuple[Chosen, ...]]:
    """Raises BadInput with the problems of all options and names."""
    from lab.kernels.export import ensure_selftest_source
    from lab.plan.nics import NICS
    from lab.provision.qemu import cannot_run, installed_qemu
    from lab.selftests import choose, source_tree
    from lab.spec.suite import unknown

    problems = unknown("NIC profile", [nic], tuple(NICS))
    if timeout < 0:
        problems.append("--timeout takes a positive number of seconds")
    hint = "lab selftest --help"
    tree: SourceTree | None = None
    chosen: tuple[Chosen, ...] = ()
    try:
        tree = source_tree(source or ensure_selftest_source(kernel, progress))
        chosen = choose(names, tree)
    except BadInput as exc:
        problems, hint = [*problems, *exc.problems], exc.hint
    if not problems and any(c.test.pair for c in chosen):
        problems += _unfit(NICS[nic], cannot_run(NICS[nic], installed_qemu()), chosen)
    if problems or tree is None:
        raise BadInput(problems, hint=hint)
    return NICS[nic], tree, chosen


def _unfit(nic: NicProfile, problem: str, chosen: Sequence[Chosen]) -> list[str]:
    if problem:
        return [f"NIC profile {nic.name} cannot run here: {problem}"]
    if nic.link == "none":
        names = ", ".join(c.test.name for c in chosen if c.test.pair)
        return [f"--nic {nic.name} has one machine, and {names} needs two"]
    return []


def _conduct(plan: SelftestPlan, chosen: Sequence[Chosen], *, as_json: bool) -> int:
    """Run one after the other, tell each, and leave the reports; the exit status."""
    from dataclasses import replace

    from lab.archive.reports import judged_selftest
    from lab.cli.guests import private_hypervisor, proved
    from lab.cli.progress import shown
    from lab.report.selftest import as_record
    from lab.trial.selftest import run_selftest

    done: list[SelftestResult] = []
    with private_hypervisor() as (hypervisor, sockets):
        accelerator, why = proved(hypervisor, plan.kernel, plan.image, sockets)
        plan = replace(plan, sockets=sockets, accelerator=accelerator, accelerator_why=why)
        plan.folder.mkdir(parents=True)
        for each in chosen:
            with shown() as progress:
                bundle = run_selftest(hypervisor, plan, each, progress)
            done.append(judged_selftest(bundle))
            _leave_reports(plan.folder, done)
            if as_json:
                say(json.dumps(as_record(done[-1])))
    if not as_json:
        tell(done)
        say(f"results: {plan.folder}")
    return code_of(done)


def tell(results: Sequence[SelftestResult]) -> None:
    """The table, and below it what is wrong with whom."""
    from lab.report.selftest import details, table

    Console().print(table(results))
    for line in details(results):
        say(line)


def _leave_reports(folder: Path, done: Sequence[SelftestResult]) -> None:
    """After each test: what was interrupted has its reports too."""
    from lab.report.selftest import as_record, ktap

    (folder / "results.ktap").write_text(ktap(done))
    (folder / "results.jsonl").write_text("".join(f"{json.dumps(as_record(r))}\n" for r in done))


def code_of(results: Sequence[SelftestResult]) -> int:
    """As `lab run`: 3 when a test says nothing (ERROR, MISS) or each was skipped, else 1 when one failed, else 0."""
    from lab.verdict.model import Word

    words = {result.verdict.word for result in results}
    if words & {Word.ERROR, Word.MISS} or words == {Word.SKIP}:
        return LAB_FAILED
    return OTHER_VERDICT if Word.FAIL in words else AS_PREDICTED
