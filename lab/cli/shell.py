# SPDX-License-Identifier: GPL-2.0-only
"""`lab shell`: guests for a human, gone when the shell ends."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli import complete
from lab.cli.options import Cold, ResultsFolder
from lab.contracts import BootableKernel, GuestImage, Progress
from lab.errors import BadInput
from lab.plan.commands import BIN, LAYER
from lab.plan.nics import NICS, NicProfile
from lab.text.terminal import say

if TYPE_CHECKING:
    from lab.plan.names import Role
    from lab.provision.hypervisor import Hypervisor
    from lab.provision.pair import Pair, PairRequest

ROLES = ("receiver", "sender")


@dataclass(frozen=True)
class Wanted:
    """What to boot. `kernel` is a name that `lab kernels` knows, or the kernel of a stored session."""

    kernel: str | BootableKernel
    nic: NicProfile
    role: Role
    command: tuple[str, ...]


def shell(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN] [-- COMMAND...]",
            help="A stored run, to take its kernel and NIC (not with --kernel); then a command.",
            autocompletion=complete.runs,
        ),
    ] = None,
    kernel: Annotated[
        str,
        typer.Option(
            "--kernel",
            "-k",
            help="Kernel to boot; default: that of the run, or the newest.",
            autocompletion=complete.kernels,
        ),
    ] = "",
    nic: Annotated[
        str,
        typer.Option("--nic", help="NIC profile; default: that of the run, or loopback.", autocompletion=complete.nics),
    ] = "",
    role: Annotated[str, typer.Option("--role", help="receiver or sender.", autocompletion=lambda: ROLES)] = "receiver",
    cold: Cold = False,
    results: ResultsFolder = None,
) -> None:
    """Start guests and open a shell in one of them.

    They are restored where runs have left a saved state (lab cache), and boot
    where not. Profile loopback is one guest, any other a pair that is addressed
    and linked as for a run. All guests are gone when the shell ends. With a
    command after [cyan]--[/cyan] that is run instead, and its exit status is returned.

    [cyan]lab shell --kernel 6.12 --nic e1000e-split --role sender[/cyan]

    [cyan]lab shell --kernel 6.12 -- uname -r[/cyan]
    """
    from lab.cli.guests import accelerator_for, prepared, private_hypervisor, replace_process
    from lab.cli.progress import shown
    from lab.experiments.found import nic_traffic
    from lab.guestimage.layer import layer_of

    wanted = _wanted(words or [], kernel, nic, role, results)
    _require_host(wanted.nic)
    with shown() as progress:
        booted, image = prepared(wanted.kernel, progress)
        layer = layer_of(nic_traffic(), progress)
    replace_process(own_namespace=wanted.nic.link == "tap")
    with private_hypervisor() as (hypervisor, folder), contextlib.ExitStack() as stack:
        with shown() as progress:
            accelerator = accelerator_for(hypervisor, booted, image, folder)
            request = replace(_request(wanted.nic, booted, image, accelerator, folder), layer=layer)
            pair = stack.enter_context(_linked(hypervisor, request, progress, cold=cold))
        status = _attach(pair, wanted, folder)
    raise typer.Exit(status)


def _wanted(words: Sequence[str], kernel: str, nic: str, role: str, results: Path | None) -> Wanted:
    """Raises BadInput with all problems. With --kernel all words are the command, else the first one is a run."""
    from lab.host.paths import results_folder
    from lab.spec.suite import unknown

    problems = unknown("NIC profile", [nic] if nic else [], tuple(NICS)) + unknown("role", [role], ROLES)
    stored: tuple[str | BootableKernel, str] = (kernel or "newest", "loopback")
    if words and not kernel:
        try:
            stored = _stored(words[0], results_folder(results))
        except BadInput as exc:
            problems += exc.problems
    if problems:
        raise BadInput(problems, hint="lab shell --help; before a command, name a kernel with --kernel")
    profile = NICS[nic or stored[1]]
    command = tuple(words if kernel else words[1:])
    return Wanted(stored[0], profile, "sender" if role == "sender" else "receiver", command)


def _stored(name: str, root: Path) -> tuple[str | BootableKernel, str]:
    """Kernel and NIC of a stored run; the very files its session booted, where they are still there."""
    from lab.archive.reports import stored_plan
    from lab.cli.find import find_run
    from lab.collect.bundle import read_bundle
    from lab.evidence.bundle import read_manifest
    from lab.plan.session import PLAN_FILE

    bundle = find_run(name, root)
    manifest = read_manifest(read_bundle(bundle))
    plan_file = bundle.parent / PLAN_FILE
    if plan_file.is_file():
        kernel = stored_plan(bundle.parent).kernel(manifest.kernel.name)
        if kernel.boot.is_file() and kernel.initrd.is_file():
            return kernel, manifest.nic
    return manifest.kernel.name, manifest.nic


def _require_host(nic: NicProfile) -> None:
    """Raises BadInput when this host cannot run the profile."""
    from lab.host.commands import missing
    from lab.provision.qemu import cannot_run, installed_qemu

    problem = cannot_run(nic, installed_qemu())
    if problem:
        raise BadInput([f"NIC profile {nic.name} cannot run here: {problem}"], hint="lab nics, lab doctor")
    if shutil.which("ssh") is None:
        raise missing("ssh")


def _request(nic: NicProfile, kernel: BootableKernel, image: GuestImage, accelerator: str, folder: Path) -> PairRequest:
    from lab.experiments.found import nic_traffic
    from lab.plan.case import STANDARD
    from lab.plan.names import digest
    from lab.provision.pair import PairRequest

    name, captures = digest("shell", str(folder)), folder / "captures"
    # what runs prove on this NIC: the state that they are restored from will do
    traffic = nic_traffic()
    return PairRequest(name, nic, STANDARD, kernel, image, accelerator, captures, folder / "s", traffic=traffic)


@contextlib.contextmanager
def _linked(hypervisor: Hypervisor, request: PairRequest, progress: Progress, *, cold: bool) -> Iterator[Pair]:
    """A pair, made ready. One that boots has no preflight: a kernel that fails it is what one wants to look at."""
    from lab.pair.ready import with_settings
    from lab.pair.warm import exists, warm_pair
    from lab.provision.pair import provisioned

    if not cold and exists(hypervisor, request):
        with warm_pair(hypervisor, request, progress) as ready:
            ready.hang_up()
            yield ready.pair
        return
    with provisioned(hypervisor, with_settings(request, progress)) as pair:
        progress("booting")
        pair.wait_ready()
        progress("waiting for carrier")
        pair.wait_carrier()
        yield pair


def _attach(pair: Pair, wanted: Wanted, folder: Path) -> int:
    """Hand the terminal to ssh; its exit status."""
    from lab.drive.terminal import ssh_argv
    from lab.pair.ready import address_of

    argv = {
        role: ssh_argv(
            address_of(pair.request, guest),
            guest.signals.hostkey,
            folder / f"known-{role}",
            wanted.command if role == wanted.role else (),
        )
        for role, guest in pair.guests.items()
    }
    chosen: Role = wanted.role if wanted.role in argv else "receiver"
    if not wanted.command:
        _tell(pair, chosen, argv)
    with subprocess.Popen(argv[chosen]) as ssh:
        try:
            return ssh.wait()
        except BaseException:
            ssh.terminate()  # it gives the terminal back as it was; when killed it could not
            raise


def _tell(pair: Pair, chosen: Role, argv: dict[Role, list[str]]) -> None:
    """Where the human is, and how to get to the other guest from another terminal."""
    request = pair.request
    say(f"{request.kernel.name}, NIC profile {request.nic.name}: this is the {chosen}", err=True)
    for role, address in pair.addresses.items():
        here = "" if role in argv else " (the same guest)"
        say(f"  {role:8} {address.v4}  {address.v6}{here}", err=True)
    for role in argv.keys() - {chosen}:
        say(f"  to the {role}, from another terminal:\n    {shlex.join(argv[role])}", err=True)
    say(f"  the guest programs are in {BIN} and {LAYER}; `exit` ends all guests", err=True)
