# SPDX-License-Identifier: GPL-2.0-only
"""`lab cache`: the saved states of pairs, and what of them may go."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lab.cli.listing import print_entries, print_json_lines
from lab.cli.options import MOST, Days
from lab.text.terminal import say
from lab.units import MIB, mib

if TYPE_CHECKING:
    from lab.provision.states import SavedState

cache = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Look after the saved states of pairs.")


@cache.command("list")
def list_states(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per state on standard output.")] = False,
) -> None:
    """List the saved states, what was used last first."""
    from lab.provision.states import store, stored

    states = list(stored())
    if as_json:
        print_json_lines(_record(state) for state in states)
        return
    print_entries((state.key, _lines(state)) for state in states)
    total = mib(sum(state.disk_mib for state in states) * MIB)
    say(f"{len(states)} states, {total} in {store()}")


@cache.command()
def prune(
    unused_for: Days = 7,
    most: Annotated[float, MOST] = 12,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
) -> None:
    """Remove saved states that nobody used for long, or that are too much, or that an earlier boot of this host left.

    The same happens, with these limits, whenever a state is made. A running session goes on with what it uses.
    """
    from lab.provision import states

    removed = states.prune(timedelta(days=unused_for), int(most * 1024), boot=states.boot_id(), dry_run=dry_run)
    for state, size in removed:
        say(f"{'would remove' if dry_run else 'removed'}: {state.key}, {mib(size * MIB)}: {_about(state)}")
    if not removed:
        say("nothing to remove")


def _about(state: SavedState) -> str:
    """What it is; also of one that has been removed."""
    return "  ".join(state.about.get(name, "?") for name in ("kernel", "nic", "shape", "accelerator"))


def _lines(state: SavedState) -> list[str]:
    days = (time.time() - state.last_used) / 86400
    return [
        _about(state),
        f"{mib(state.disk_mib * MIB)}, made {state.made}, used {days:.1f} days ago",
    ]


def _record(state: SavedState) -> dict[str, Any]:
    told = {"key": state.key, "made": state.made, "last_used": state.last_used, "disk_mib": state.disk_mib}
    return {**told, "folder": str(state.folder), "about": state.about}
