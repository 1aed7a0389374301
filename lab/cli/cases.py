# SPDX-License-Identifier: GPL-2.0-only
"""`lab cases`: what can be run, and the claim each case tests."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from lab.cli.listing import print_entries, print_json_lines
from lab.experiments.found import all_cases
from lab.text.terminal import say
from lab.verdict.case import Case


def cases(as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line and case.")] = False) -> None:
    """List the cases, and the suites made of them."""
    from lab.session.suites import read_suite, suite_names

    if as_json:
        print_json_lines(_record(case) for case in all_cases().values())
        return
    say("Cases: lab run CASE...\n")
    print_entries((c.name, [c.how, Text(c.claim, style="dim")]) for c in all_cases().values())
    say("\nSuites: lab run SUITE...\n")
    suites = [(name, read_suite(name)) for name in suite_names()]
    print_entries(
        (name, [suite.description, Text(f"{', '.join(suite.kernels)} on {', '.join(suite.nics)}", style="dim")])
        for name, suite in suites
    )


def _record(case: Case) -> dict[str, object]:
    return {
        "case": case.name,
        "how": case.how,
        "claim": case.claim,
        "shape": case.shape.name,
        "rules": [rule.name for rule in case.rules],
        "clients": [
            {"name": c.name, "behaviour": c.behaviour, "limit": c.limit, "deliver": c.deliver} for c in case.clients
        ],
    }
