# SPDX-License-Identifier: GPL-2.0-only
"""`lab nics`: the table of NIC profiles, and the same measured on this host."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Annotated, Any

import typer
from rich.text import Text

from lab.cli import complete
from lab.cli.exits import AS_PREDICTED, LAB_FAILED, OTHER_VERDICT
from lab.cli.listing import percent, print_entries, print_json_lines
from lab.cli.measure import Measured
from lab.errors import BadInput
from lab.plan.nics import NICS, NicProfile, dotted

LINKS = {"unix": "AF_UNIX socket", "tap": "taps in an own namespace", "none": "no link, one guest"}
SHARE_SLACK = 0.02  # measured shares of one host differ by that much from run to run


def nics(
    measure: Annotated[bool, typer.Option("--measure", help="Boot a pair per profile and measure.")] = False,
    nic: Annotated[
        list[str] | None,
        typer.Option("--nic", help="Only this profile; repeatable.", autocompletion=complete.nics),
    ] = None,
    kernel: Annotated[
        str, typer.Option("--kernel", "-k", help="Kernel to measure with.", autocompletion=complete.kernels)
    ] = "newest",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line and profile.")] = False,
) -> None:
    """List the NIC profiles, or measure what share of their bytes can be mapped.

    Exit code of --measure: [bold]0[/bold] the table's promises hold, [bold]1[/bold] some share is
    below its floor, or a profile maps that should not, [bold]3[/bold] some profile
    could not be measured, or each was skipped.

    [cyan]lab nics --measure --nic virtio --kernel 6.1[/cyan]
    """
    chosen = _chosen(nic or [])
    if measure:
        raise typer.Exit(_measure(chosen, kernel, as_json=as_json))
    from lab.provision.qemu import cannot_run, installed_qemu

    qemu = installed_qemu()
    rows = [(profile, cannot_run(profile, qemu)) for profile in chosen]
    if as_json:
        print_json_lines(_record(profile, problem) for profile, problem in rows)
        return
    print_entries((profile.name, _lines(profile, problem)) for profile, problem in rows)


def _chosen(names: Sequence[str]) -> list[NicProfile]:
    from lab.spec.suite import unknown

    problems = unknown("NIC profile", names, tuple(NICS))
    if problems:
        raise BadInput(problems, hint="lab nics")
    return [NICS[name] for name in dict.fromkeys(names)] or list(NICS.values())


def _lines(nic: NicProfile, problem: str) -> list[str | Text]:
    promise = f"floor {percent(nic.floor, nic.floor)}" if nic.mappable else "nothing mappable: a negative control"
    here = Text(f"not here: {problem}", style="yellow") if problem else Text("runs here", style="green")
    return [
        f"{nic.model or 'lo'}, MTU {nic.mtu}, {LINKS[nic.link]}",
        f"mapped share {percent(*nic.measured)} (measured under {nic.measured_under.upper()}), {promise}",
        here,
        Text(nic.reason, style="dim"),
    ]


def _record(nic: NicProfile, problem: str) -> dict[str, Any]:
    return {
        "nic": nic.name,
        "model": nic.model,
        "link": nic.link,
        "mtu": nic.mtu,
        "measured": nic.measured,
        "measured_under": nic.measured_under,
        "floor": nic.floor,
        "mappable": nic.mappable,
        "min_qemu": dotted(nic.min_qemu),
        "reason": nic.reason,
        "runs_here": not problem,
        "problem": problem,
    }


def _measure(chosen: Sequence[NicProfile], kernel: str, *, as_json: bool) -> int:
    """Measure and print; returns the exit code. Raises BadInput for the kernel, LabTrouble when nothing can start."""
    from lab.cli.guests import accelerator_for, prepared, private_hypervisor, replace_process
    from lab.cli.measure import measure_all
    from lab.cli.progress import shown
    from lab.provision.qemu import cannot_run, installed_qemu

    qemu = installed_qemu()
    problems = {nic.name: cannot_run(nic, qemu) for nic in chosen}
    able = [nic for nic in chosen if not problems[nic.name]]
    rows = [Measured(name, skipped=problem) for name, problem in problems.items() if problem]
    if able:
        with shown() as progress:
            booted, image = prepared(kernel, progress)
        replace_process(own_namespace=any(nic.link == "tap" for nic in able))
        with shown() as progress, private_hypervisor() as (hypervisor, folder):
            accelerator = accelerator_for(hypervisor, booted, image, folder)
            with closing(measure_all(hypervisor, able, booted, image, accelerator, folder, progress)) as measured:
                rows += measured
    if as_json:
        print_json_lines(row.as_record() for row in rows)
    else:
        print_entries((row.nic, _measured_lines(row)) for row in rows)
    return code_of(rows)


def code_of(rows: Sequence[Measured]) -> int:
    """3 when a profile could not be measured for no reason of its own, or none could; 1 when a promise is broken."""
    if any(row.trouble for row in rows) or all(row.skipped for row in rows):
        return LAB_FAILED
    return OTHER_VERDICT if any(row.wrong for row in rows) else AS_PREDICTED


def _measured_lines(row: Measured) -> list[str | Text]:
    nic = row.profile
    if row.skipped:
        return [Text(f"skipped: {row.skipped}", style="yellow")]
    if row.trouble:
        return [Text(f"not measured: {row.trouble}", style="bold magenta")]
    low, high = min(row.shares), max(row.shares)
    table = f"table {percent(*nic.measured)} under {nic.measured_under.upper()}"
    here = f"measured {percent(low, high)} under {row.accelerator.upper()}"
    told = f"{here}, {table}, floor {percent(nic.floor, nic.floor)}"
    if row.wrong:
        return [told, Text(row.wrong, style="bold red")]
    as_told = nic.measured[0] - SHARE_SLACK <= low and high <= nic.measured[1] + SHARE_SLACK
    return [told, Text("as in the table", style="green") if as_told else Text("not as in the table, promise kept")]
