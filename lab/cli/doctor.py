# SPDX-License-Identifier: GPL-2.0-only
"""`lab doctor`: what this host can do, each problem with its cure."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from lab.cli.checks import Check, static_checks
from lab.cli.exits import AS_PREDICTED, LAB_FAILED
from lab.cli.listing import print_entries, print_json_lines
from lab.text.terminal import say

STYLES = {"ok": "green", "warn": "yellow", "bad": "bold red"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line and check.")] = False,
) -> None:
    """Say what this host can do, and prove it by booting a guest.

    Exit code: [bold]0[/bold] the lab can run here, perhaps slowly or without some NIC
    profile; [bold]3[/bold] it cannot.
    """
    from lab.cli.guests import replace_process
    from lab.cli.progress import shown

    replace_process()
    with shown() as progress:
        checks = static_checks(progress)
        if not any(check.status == "bad" for check in checks):
            from lab.cli.checks_boot import boot_checks

            checks += boot_checks(progress)
    if as_json:
        print_json_lines(asdict(check) for check in checks)
    else:
        print_entries((check.name, _lines(check)) for check in checks)
        say(f"\n{summary(checks)}")
    raise typer.Exit(code_of(checks))


def code_of(checks: list[Check]) -> int:
    return LAB_FAILED if any(check.status == "bad" for check in checks) else AS_PREDICTED


def summary(checks: list[Check]) -> str:
    """One sentence."""
    bad = [check.name for check in checks if check.status == "bad"]
    if bad:
        return f"The lab cannot run here yet: {', '.join(bad)}."
    warned = ", ".join(check.name for check in checks if check.status == "warn")
    return f"The lab can run here. Less than it could be: {warned}." if warned else "The lab can run here."


def _lines(check: Check) -> list[str | Text]:
    cure = Text(f"cure: {check.cure}", style="cyan") if check.cure else Text("")
    return [Text.assemble((f"{check.status:4}", STYLES[check.status]), f"  {check.seen}"), cure]
