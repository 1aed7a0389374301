# SPDX-License-Identifier: GPL-2.0-only
"""`lab mutants`: kernels with one known defect each; the lab is right when the case that claims a defect catches it."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from lab.cli import complete
from lab.cli.exits import AS_PREDICTED, INTERRUPTED, LAB_FAILED, OTHER_VERDICT
from lab.cli.listing import print_entries
from lab.cli.options import Carrier, Hosts, ResultsFolder, conducting
from lab.errors import BadInput, tried
from lab.spec.request import MAX_REPEAT
from lab.text.terminal import say

if TYPE_CHECKING:
    from lab.campaign.mutants import Judged, Mutant, Seen
    from lab.contracts import Progress

STYLES = {"caught": "green", "no verdict": "yellow"}


def mutants(
    names: Annotated[
        list[str] | None, typer.Argument(help="Mutants; default: all.", autocompletion=complete.mutants)
    ] = None,
    design: Annotated[
        str, typer.Option("--design", help="Only those of this kernel.", autocompletion=complete.designs)
    ] = "",
    base: Annotated[
        str, typer.Option("--base", help="On 7.3, or what else is a base: the mutants that fit there.")
    ] = "",
    nic: Annotated[
        str, typer.Option("--nic", help="NIC profile for mutants that name none.", autocompletion=complete.nics)
    ] = "e1000e-split",
    pairs: Annotated[
        str, typer.Option("-n", "--pairs", help="Pairs at once: a number, or auto for what is fastest here.")
    ] = "auto",
    repeat: Annotated[
        int, typer.Option("--repeat", min=1, max=MAX_REPEAT, help="Run each cell so many times; all must catch it.")
    ] = 1,
    list_only: Annotated[bool, typer.Option("--list", help="Say what there is, and run nothing.")] = False,
    results: ResultsFolder = None,
    hosts: Hosts = None,
    carrier: Carrier = "parallel",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per mutant on standard output.")] = False,
) -> None:
    """Build kernels with one defect each, and see whether the case that claims it catches it.

    Exit code: [bold]0[/bold] each was caught by the case that claims it, and the kernels
    without a defect are green in the same cases; [bold]1[/bold] not so; [bold]3[/bold] some run has
    no verdict.
    """
    from lab.campaign.mutants import chosen

    wanted = chosen(names or (), design, nic, base)
    if list_only:
        print_entries((m.name, [m.defect, f"claimed by {m.claim} on {m.nic} as {m.caught_as}"]) for m in wanted)
        return
    judged, interrupted = _tried(wanted, pairs, repeat, results, hosts, carrier)
    for one in judged:
        if as_json:
            say(json.dumps(as_record(one)))
    if not as_json:
        print_entries((one.mutant.name, _lines(one)) for one in judged)
        say(f"\n{summary(judged)}")
    raise typer.Exit(INTERRUPTED if interrupted else code_of(judged))


def _tried(
    wanted: Sequence[Mutant], pairs: str, repeat: int, results: ResultsFolder, hosts: Hosts, carrier: str
) -> tuple[tuple[Judged, ...], bool]:
    """Build, run one session and judge. Raises BadInput with every mutant that does not build."""
    from lab.archive.reports import REPORT
    from lab.campaign.mutants import is_wanted, judge_mutants
    from lab.cli.options import pairs_of
    from lab.cli.verdicts import listening
    from lab.host.paths import results_folder
    from lab.session.prepare import combine
    from lab.spec.request import SessionRequest

    request = SessionRequest(
        names=tuple(dict.fromkeys(case for m in wanted for case in m.cases)),
        kernels=tuple(dict.fromkeys(name for m in wanted for name in (m.control, m.name))),
        nics=tuple(dict.fromkeys(m.nic for m in wanted)),
        repeat=repeat,
        pairs=pairs_of(pairs),
        command=shlex.join(["lab", *sys.argv[1:]]),
    )
    problems: list[str] = []  # what is wrong with the options is told before anything is built
    hints: list[str] = []
    tried(problems, lambda: combine(request), hints)
    conduct = tried(problems, lambda: conducting(hosts, carrier), hints)
    if problems or conduct is None:
        raise BadInput(problems, hint="; ".join(hints))
    with listening() as listener:
        done = conduct(
            request,
            results_folder(results),
            listener,
            before=lambda progress: _built(request.kernels, progress),
            only=is_wanted(wanted),
        )
    session = done.session()
    say(f"report: {done.plan.folder / REPORT}", err=True)
    return judge_mutants(wanted, session.results), done.interrupted


def _built(names: Sequence[str], progress: Progress) -> None:
    """Build all before any runs: a mutant that does not build or apply is bad input, never caught."""
    from lab.kernels import recipes
    from lab.kernels.build import ensure_built

    problems: list[str] = []
    for name in names:
        try:
            ensure_built(recipes.recipe_of(name), progress)
        except BadInput as exc:
            problems += [f"{name}: {problem}" for problem in exc.problems]
    if problems:
        raise BadInput(problems, hint="lab kernel build NAME, for one of them alone")


def code_of(judged: Sequence[Judged]) -> int:
    """3 when something has no verdict, else 1 when not all were caught, else 0."""
    from lab.campaign.mutants import Outcome

    outcomes = {one.outcome for one in judged}
    if Outcome.NO_VERDICT in outcomes:
        return LAB_FAILED
    return AS_PREDICTED if outcomes <= {Outcome.CAUGHT} else OTHER_VERDICT


def summary(judged: Sequence[Judged]) -> str:
    """One sentence."""
    from lab.campaign.mutants import Outcome

    caught = sum(one.outcome is Outcome.CAUGHT for one in judged)
    rest = [f"{one.mutant.name} ({one.outcome})" for one in judged if one.outcome is not Outcome.CAUGHT]
    told = f"{caught} of {len(judged)} mutants caught by the case that claims them"
    return f"{told}; not so: {', '.join(rest)}." if rest else f"{told}; the kernels without a defect are green."


def as_record(one: Judged) -> dict[str, object]:
    """A mutant as plain values."""
    mutant = one.mutant
    return {
        "mutant": mutant.name,
        "defect": mutant.defect,
        "nic": mutant.nic,
        "claimed_by": mutant.claim,
        "caught_as": mutant.caught_as.value,
        "outcome": one.outcome.value,
        "cases": [
            {
                "case": s.case,
                "words": s.words,
                "control": s.control,
                "rules": s.rules,
                "message": s.message,
                "control_told": s.control_told,
            }
            for s in one.seen
        ],
    }


def _lines(one: Judged) -> list[str | Text]:
    style = STYLES.get(one.outcome.value, "bold red")
    return [one.mutant.defect, Text(one.outcome.value, style=style), *map(_of_case, one.seen)]


def _of_case(seen: Seen) -> str:
    words, control = (" ".join(words) or "no run" for words in (seen.words, seen.control))
    rules = f" by {', '.join(seen.rules)}: {seen.message}" if seen.rules and set(seen.words) != {"PASS"} else ""
    against = f" by {seen.control_told}" if seen.control_told else ""
    return f"{seen.case}: {words}{rules} (without the defect {control}{against})"
