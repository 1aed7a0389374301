# SPDX-License-Identifier: GPL-2.0-only
"""`lab cases`: what can be run, and the claim each case tests; or all that is known of one."""

from __future__ import annotations

import inspect
from typing import Annotated

import typer
from rich.text import Text

from lab.cli import complete
from lab.cli.listing import print_entries, print_json_lines
from lab.errors import BadInput
from lab.experiments.found import all_cases
from lab.plan.case import ClientSpec
from lab.spec.suite import unknown
from lab.text.terminal import Console, say
from lab.text.words import one_line
from lab.units import mib
from lab.verdict.case import Case

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[CASE]...", help="Cases to print whole.", autocompletion=complete.cases),
]


def cases(
    names: Names = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line and case.")] = False,
) -> None:
    """List the cases, and the suites made of them; or print what one claims, does and expects.

    [cyan]lab cases hold[/cyan]
    """
    if problems := unknown("case", names or (), list(all_cases())):
        raise BadInput(problems, hint="lab cases lists them")
    chosen = [all_cases()[name] for name in names or all_cases()]
    if as_json:
        print_json_lines(_record(case) for case in chosen)
    elif names:
        for case in chosen:
            _page(case)
    else:
        _list()


def _list() -> None:
    from lab.session.suites import read_suite, suite_names

    say("Cases: lab run CASE...\n")
    print_entries((c.name, [c.how, Text(c.claim, style="dim")]) for c in all_cases().values())
    say("\nSuites: lab run SUITE...\n")
    suites = [(name, read_suite(name)) for name in suite_names()]
    print_entries(
        (name, [suite.description, Text(f"{', '.join(suite.kernels)} on {', '.join(suite.nics)}", style="dim")])
        for name, suite in suites
    )


def _page(case: Case) -> None:
    """All that its file says of a case, for somebody who reads no Python."""
    console = Console()
    console.print(Text(case.name, style="bold"))
    say(f"{case.how}.\n")
    console.print(Text(f"{one_line(case.claim)}\n({one_line(case.source)})\n", style="dim"))
    if case.clients:
        say("Clients")
        print_entries((client.name, [_client(client)]) for client in case.clients)
        say("")
    say("Rules that must each speak for a PASS")
    print_entries((rule.name, [rule.about]) for rule in case.rules)
    say("\nExpected of each kernel design")
    print_entries((design, [case.why_not if word == "SKIP" else word.value]) for design, word in case.expect.items())
    say("\nSteps")
    console.print(Text(_body(case)))
    say(case.page)
    say(f"\nWritten in {case.file}")


def _client(client: ClientSpec) -> str:
    limit = "no limit" if client.limit is None else f"limit {mib(client.limit)}"
    offered = f"{mib(client.deliver)} offered" if client.deliver else "offered until the stream breaks"
    more = [
        f"{client.sockets} sockets" if client.sockets > 1 else "",
        f"at {mib(client.rate)}/s" if client.rate else "",
        f"limit lowered to {mib(client.lowered)}" if client.lowered is not None else "",
        "the OOM killer may not take it" if client.unkillable else "",
        "checks every byte" if client.verify else "",
    ]
    return ", ".join([client.behaviour, limit, offered, *filter(None, more)])


def _body(case: Case) -> str:
    """The script below its docstring; what it calls is in the file."""
    source = inspect.getsource(case.script)
    return inspect.cleandoc(source[source.index('"""', source.index('"""') + 3) + 3 :]) + "\n"


def _record(case: Case) -> dict[str, object]:
    return {
        "case": case.name,
        "how": case.how,
        "claim": case.claim,
        "source": case.source,
        "shape": case.shape.name,
        "rules": [rule.name for rule in case.rules],
        "expect": {design: word.value for design, word in case.expect.items()},
        "file": case.file,
        "clients": [
            {"name": c.name, "behaviour": c.behaviour, "limit": c.limit, "deliver": c.deliver} for c in case.clients
        ],
    }
