# SPDX-License-Identifier: GPL-2.0-only
"""`lab hosts`: the hosts of an Ansible inventory, and what they are good for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from lab.cli.exits import AS_PREDICTED, LAB_FAILED
from lab.cli.progress import shown
from lab.text.terminal import Console, say
from lab.text.words import one_line

if TYPE_CHECKING:
    from lab.fleet.answers import Answer

hosts = typer.Typer(no_args_is_help=True, help="Hosts that can be given work (docs/fleet.md).")

Inventory = Annotated[Path, typer.Argument(help="An Ansible inventory, ini or YAML.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per line and host.")]


@hosts.command("list")
def list_hosts(inventory: Inventory, as_json: AsJson = False) -> None:
    """Ask each host what it is, what it has room for, and what lies there.

    Exit code: [bold]0[/bold] each can be used; [bold]3[/bold] some cannot.
    """
    from lab.fleet.answers import ask_all
    from lab.fleet.inventory import read_inventory

    with shown() as progress:
        answers = ask_all(read_inventory(inventory), progress)
    if as_json:
        for answer in answers:
            say(json.dumps({"host": answer.host.name, "room": answer.room, "problem": answer.problem, **answer.facts}))
    else:
        Console().print(_table(answers))
    raise typer.Exit(LAB_FAILED if any(answer.problem for answer in answers) else AS_PREDICTED)


def _table(answers: tuple[Answer, ...]) -> Table:
    table = Table("host", "room", "load", "memory", "disk", "KVM", "at", "trouble", box=None)
    for answer in answers:
        told = answer.facts
        table.add_row(
            answer.host.name,
            str(answer.room),
            _number(told.get("load"), ".1f"),
            f"{_number(told.get('available_mib'), '.0f')} MiB",
            f"{_number(told.get('free_mib'), '.0f')} MiB",
            {True: "maybe", False: "no"}.get(told.get("kvm") is True) if told else "",
            one_line(" ".join(map(str, told["at"][:3])), 60) if isinstance(told.get("at"), list) else "",
            one_line(answer.problem, 200),
        )
    return table


def _number(value: Any, form: str) -> str:  # noqa: ANN401 - whatever a host says
    return format(value, form) if isinstance(value, int | float) else "?"


@hosts.command()
def doctor(inventory: Inventory) -> None:
    """Have each host prove by booting what it can do, as `lab doctor` does there.

    Exit code: [bold]0[/bold] the lab can run on each; [bold]3[/bold] on some it cannot.
    """
    from concurrent.futures import ThreadPoolExecutor

    from lab.fleet.answers import ASKED_AT_ONCE, examined
    from lab.fleet.inventory import read_inventory

    listed = read_inventory(inventory)
    with shown() as progress, ThreadPoolExecutor(min(len(listed), ASKED_AT_ONCE)) as pool:
        progress(f"having {len(listed)} hosts prove what they can do")
        told = list(pool.map(examined, listed))
    for host, (lines, problem) in zip(listed, told, strict=True):
        for line in lines:
            say(f"{host.name}: {line}")
        say(f"{host.name}: {problem or 'the lab can run here'}")
    raise typer.Exit(LAB_FAILED if any(problem for _, problem in told) else AS_PREDICTED)


@hosts.command()
def setup(inventory: Inventory) -> None:
    """Make each host fit: packages, this very lab, and a key that may do one thing (playbooks/fleet.yml)."""
    from lab.fleet.fitting import make_fit

    with shown() as progress:
        done = make_fit(inventory, progress)
    for task in dict.fromkeys(done.changed):
        say(f"done: {task}")
    if not done.changed:
        say("nothing to do")
