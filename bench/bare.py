# SPDX-License-Identifier: GPL-2.0-only
"""The limit of `pair-ready`: the same two QEMUs, started by hand. No libvirt, no SSH, no identity of their own."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import libvirt

from bench.guests import STARTS, Bed
from lab.contracts import BootableKernel
from lab.errors import GuestLost, LabTrouble
from lab.pair.warm import about, key_for
from lab.plan.domain import GuestPlan, render
from lab.plan.names import Role, link_address
from lab.provision.guest import Guest, Signals, listen
from lab.provision.libvirt_api import Domain
from lab.provision.link import await_listener
from lab.provision.pair import PairRequest, guest_plan
from lab.provision.saved import FDSETS
from lab.provision.states import find
from lab.units import Deadline, wait_until

LIMIT = timedelta(seconds=60)
POLL = timedelta(milliseconds=2)
OF_LIBVIRT = ("masterKey0", "charmonitor")
"""What of libvirt's command line is there for libvirt alone, by the ids that it gives."""


@dataclass
class Bare:
    """Two QEMUs of the command lines that libvirt would use, from the start until `saved` guests answer each other's
    ping, or until booted ones have said that they are ready."""

    bed: Bed
    kernel: BootableKernel
    saved: bool

    def __call__(self) -> float:
        request = self._restorable() if self.saved else self.bed.request(self.kernel)
        try:
            began = time.monotonic()
            with _started(self.bed, request) as (receiver, sender):
                if self.saved:
                    sender.echo(link_address(request.born, "receiver").v4, LIMIT)
                else:
                    receiver.wait_ready(LIMIT)
                    sender.wait_ready(LIMIT)
                return time.monotonic() - began
        finally:
            self.bed.forget(request)

    def _restorable(self) -> PairRequest:
        """A request for a pair from the state that the lab restores its own from; it is made where there is none."""
        request = self.bed.request(self.kernel)
        key = key_for(about(self.bed.hypervisor, request))
        if find(key) is None:
            first = self.bed.request(self.kernel)
            with STARTS["warm"](self.bed, first):
                pass
            self.bed.forget(first)
        state = find(key)
        if state is None:
            raise LabTrouble(f"there is no state {key}")
        shutil.copytree(state.captures, request.captures)
        return replace(request, saved=state.folder, born=state.born)


@contextlib.contextmanager
def _started(bed: Bed, request: PairRequest) -> Iterator[tuple[Guest, Guest]]:
    with contextlib.ExitStack() as stack:
        receiver = stack.enter_context(_guest(bed, request, "receiver"))
        await_listener(request.link_socket, threading.Event())
        yield receiver, stack.enter_context(_guest(bed, request, "sender"))


@contextlib.contextmanager
def _guest(bed: Bed, request: PairRequest, role: Role) -> Iterator[Guest]:
    plan = guest_plan(request, role, bed.hypervisor.machine)
    line = _command_line(bed, render(plan))
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(Path(plan.console).with_suffix(".qemu").open("w"))
        state = stack.enter_context(Path(plan.state or os.devnull).open("rb"))
        argv = [*by_hand(line, plan.emulator), "-qmp", "stdio"]
        pipe, files = subprocess.PIPE, (state.fileno(),)
        process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=log, text=True, bufsize=1, pass_fds=files)
        stack.callback(process.wait)
        stack.callback(process.kill)
        signals = Signals()
        deadline = Deadline.after(f"QEMU of {plan.name}", LIMIT)
        port = wait_until(lambda: _port(process, plan, Path(log.name)), deadline=deadline, pause=POLL)
        threading.Thread(target=listen, args=(signals, port), daemon=True).start()
        if plan.state:
            newer = bed.hypervisor.qemu[:2] >= FDSETS
            _take_in(process, f"file:{plan.state}" if newer else f"fd:{state.fileno()}", deadline)
        yield Guest(plan, "", bed.hypervisor, cast(Domain, None), 0, signals, port)


def _command_line(bed: Bed, xml: str) -> str:
    """What libvirt 9.0 would start. Once in some dozens of calls it fails without an error of its own ("the cause is
    unknown"), so it is asked twice: no guest is concerned."""
    with contextlib.suppress(libvirt.libvirtError):
        return str(bed.hypervisor.connection.domainXMLToNative("qemu-argv", xml, 0))
    return str(bed.hypervisor.connection.domainXMLToNative("qemu-argv", xml, 0))


def _take_in(process: subprocess.Popen[str], uri: str, deadline: Deadline) -> None:
    """Have QEMU restore the devices that lie there, and run. Raises DeadlinePassed, GuestLost."""
    order = partial(_order, process)
    order("qmp_capabilities")
    order("migrate-set-capabilities", capabilities=[{"capability": "x-ignore-shared", "state": True}])
    order("migrate-incoming", uri=uri)

    def over() -> tuple[bool | None, object]:
        status = order("query-migrate").get("status")
        return (True if status == "completed" else None), status

    wait_until(over, deadline=deadline, pause=POLL)
    order("cont")


def _order(process: subprocess.Popen[str], command: str, **arguments: object) -> dict[str, Any]:
    """What QEMU returns to a command of its machine protocol. Raises GuestLost."""
    if process.stdin and process.stdout:
        process.stdin.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        for line in process.stdout:
            told = json.loads(line)
            if "return" in told:
                return dict(told["return"])
            if "error" in told:
                raise GuestLost(f"QEMU refuses {command}: {told['error']['desc']}")
    raise GuestLost(f"QEMU ended at {command}")


def _port(process: subprocess.Popen[str], plan: GuestPlan, log: Path) -> tuple[socket.socket | None, object]:
    """Its ready port, once QEMU listens there. Raises GuestLost when it has ended instead."""
    if process.poll() is not None:
        raise GuestLost(f"QEMU of {plan.name} ended with {process.returncode}: {log.read_text()[-400:]}")
    port = socket.socket(socket.AF_UNIX)
    try:
        port.connect(plan.ready_socket)
    except OSError as exc:
        port.close()
        return None, exc
    return port, "connected"


def by_hand(line: str, emulator: str) -> list[str]:
    """QEMU's command line from libvirt's, without environment, monitor, secret, and the order to stand still."""
    words = shlex.split(line)
    words = words[words.index(emulator) :]
    kept = words[:1]
    for option, value in zip(words[1:], [*words[2:], ""], strict=True):
        if not option.startswith("-") or option == "-S":
            continue
        if not any(name in value for name in OF_LIBVIRT):
            kept += [option] if value.startswith("-") or not value else [option, value]
    return kept
