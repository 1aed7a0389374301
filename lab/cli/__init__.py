"""The `lab` command. One file per command; what becomes of an error, and of a verdict, is an exit code here only."""

from __future__ import annotations

import sys

import typer

from lab.cli import (
    cache,
    cases,
    doctor,
    judge,
    kernel,
    kernels,
    mutants,
    nics,
    report,
    run,
    selftest,
    setup,
    shell,
    show,
)
from lab.cli.exits import LAB_FAILED, LabGroup
from lab.cli.streams import flushed, make_lasting
from lab.text.terminal import say, say_traceback

EPILOG = """\
[bold]First steps[/bold]

  [cyan]make setup[/cyan]    packages, kernels, guest image

  [cyan]lab doctor[/cyan]    what this host can do, and the cure for what it cannot

  [cyan]lab run fast[/cyan]  a first answer in seconds, both ends in one guest

  [cyan]lab run hold --kernel 6.12 --nic e1000e-split[/cyan]  one case, two machines

  [cyan]lab show hold[/cyan]  what the newest run of a case says, and why

[bold]Exit codes[/bold]

  [bold]0[/bold]  every verdict is the predicted one

  [bold]1[/bold]  some verdict is another one

  [bold]2[/bold]  bad input

  [bold]3[/bold]  the lab failed, nothing was tried, or a MISS or ERROR not predicted
"""

app = typer.Typer(
    cls=LabGroup,
    name="lab",
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)


@app.callback()
def lab() -> None:
    """Boots pairs of machines, maps TCP streams between them, and says whether the kernel billed every byte."""


for command in (
    setup.setup,
    doctor.doctor,
    run.run,
    show.show,
    judge.judge,
    report.report,
    selftest.selftest,
    shell.shell,
    kernels.kernels,
    nics.nics,
    cases.cases,
    mutants.mutants,
):
    app.command()(command)

app.add_typer(kernel.kernel, name="kernel")
app.add_typer(cache.cache, name="cache")


def main() -> None:
    """All of `lab`; see lab.start."""
    make_lasting()
    try:
        app(prog_name="lab")
    except Exception:  # noqa: BLE001 - a fault of ours must not look like a verdict
        say_traceback()
        sys.exit(LAB_FAILED)
    finally:
        if trouble := flushed():
            say(f"lab: {trouble}", err=True)
            sys.exit(LAB_FAILED)
