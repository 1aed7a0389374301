# SPDX-License-Identifier: GPL-2.0-only
"""Gives fresh guests their role with playbooks/guest.yml."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from lab.contracts import Address, Progress
from lab.drive.playbook import run_playbook
from lab.errors import HostTrouble, LabTrouble
from lab.host.interrupt import held_back
from lab.host.paths import project_root
from lab.plan.names import LinkAddress, Role
from lab.plan.nics import NicProfile
from lab.plan.selftests import LINK_DEV
from lab.units import Deadline

# Receive buffers of both ends: the limit of a socket's queue, so that one socket can keep the emulated link busy.
COMMON_SYSCTLS = {"net.ipv4.tcp_rmem": "4096 131072 6291456", "net.ipv4.tcp_wmem": "4096 65536 4194304"}

LAST_WORD = "role-set"
"""What the role's script says when it has done everything."""

LIMIT = timedelta(seconds=60)


@dataclass(frozen=True)
class RoleTarget:
    """One guest to be given a role. `hostkey` is the line the guest said, `role` decides whose offloads apply."""

    name: str
    role: Role
    address: Address
    hostkey: str
    link: LinkAddress


@dataclass(frozen=True)
class Seat:
    """What is known of a guest before it runs: its end of the link, and the key it lets in."""

    link: LinkAddress
    key_file: Path


def role_vars(role: Role, link: LinkAddress, nic: NicProfile) -> dict[str, Any]:
    """Variables of one host in the playbook."""
    return {
        "sysctls": {**COMMON_SYSCTLS, **dict(nic.sysctls)},
        "link_dev": LINK_DEV if nic.link != "none" else "",
        "mtu": nic.mtu,
        "offloads_off": list(nic.receiver_off if role == "receiver" else nic.sender_off),
        "v4": link.v4,
        "v6": link.v6,
    }


def _connection(seat: Seat, known_hosts: Path, told_port: Path) -> dict[str, Any]:
    options = (
        f"-o UserKnownHostsFile={known_hosts} -o StrictHostKeyChecking=yes -o ControlMaster=no -o ControlPath=none"
    )
    return {
        "ansible_host": "127.0.0.1",
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(seat.key_file),
        "ansible_ssh_common_args": options,
        "ansible_remote_tmp": "/tmp/.ansible",  # noqa: S108 - in the guest, whose /root is read-only
        "told_port": str(told_port),
    }


def inventory(seats: Mapping[Role, Seat], nic: NicProfile, scratch: Path) -> dict[str, Any]:
    """The inventory of one pair. The files it names lie in `scratch`: see `RoleGiver.give`."""
    hosts = {
        role: {**_connection(seat, *_files(scratch, role)), **role_vars(role, seat.link, nic)}
        for role, seat in seats.items()
    }
    return {"guests": {"hosts": hosts}}


def _files(scratch: Path, role: Role) -> tuple[Path, Path]:
    return scratch / f"known_hosts-{role}", scratch / f"port-{role}"


class RoleGiver:
    """The playbook at work in a thread: it waits for each guest's port, and sets that guest up."""

    def __init__(self, seats: Mapping[Role, Seat], nic: NicProfile, scratch: Path, progress: Progress) -> None:
        self._scratch = scratch
        self._inventory = inventory(seats, nic, scratch)
        self._progress = progress
        self._changed = threading.Condition()
        self._done: set[str] = set()
        self._trouble: LabTrouble | None = None
        self._over = False
        self._cancelled = threading.Event()
        self._pipes: dict[Role, int] = {}
        for role in seats:
            pipe = _files(scratch, role)[1]
            os.mkfifo(pipe)
            self._pipes[role] = os.open(pipe, os.O_RDWR)  # opened both ways: neither side waits for the other to come
        self._thread = threading.Thread(target=self._run, name="roles", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            run_playbook(
                project_root() / "playbooks" / "guest.yml",
                inventory=self._inventory,
                progress=self._progress,
                watch=self._watch,
                cancelled=self._cancelled.is_set,
                scratch=self._scratch,
            )
        except LabTrouble as exc:
            self._trouble = exc
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _watch(self, event: Mapping[str, Any]) -> None:
        data = event.get("event_data", {})
        if event.get("event") == "runner_on_ok" and LAST_WORD in str(data.get("res", {}).get("stdout", "")):
            with self._changed:
                self._done.add(str(data.get("host")))
                self._changed.notify_all()

    def give(self, targets: Mapping[Role, RoleTarget]) -> None:
        """Say where the guests answer, and wait until each has its role. Raises HostTrouble, DeadlinePassed."""
        for role, target in targets.items():
            where, known_hosts = target.address, _files(self._scratch, role)[0]
            known_hosts.write_text(f"[{where.host}]:{where.port} {' '.join(target.hostkey.split()[:2])}\n")
            os.write(self._pipes[role], f"{where.port}\n".encode())
        deadline = Deadline.after("the guests' roles", LIMIT)
        with self._changed:
            while not self._done.issuperset(targets):
                if self._over:
                    raise self._trouble or HostTrouble(f"the playbook ended, but only {sorted(self._done)} finished")
                if not self._changed.wait(timeout=deadline.remaining) and deadline.expired:
                    raise deadline.passed(f"roles of {sorted(self._done)}")
        self._remove_pipes()

    def close(self) -> None:
        """The playbook has ended, or is ended now."""
        if self._pipes:  # nobody was given a role
            self._cancelled.set()
        self._remove_pipes()
        self._thread.join(LIMIT.total_seconds())

    def _remove_pipes(self) -> None:
        for role, pipe in self._pipes.items():
            os.close(pipe)  # who still reads meets its end
            _files(self._scratch, role)[1].unlink(missing_ok=True)
        self._pipes = {}


@contextlib.contextmanager
def role_giver(seats: Mapping[Role, Seat], nic: NicProfile, scratch: Path, progress: Progress) -> Iterator[RoleGiver]:
    """Start the playbook now, for guests that come later: Ansible takes over a second before it does anything.

    The end of the block waits for the playbook; after `give` it has normally ended by then. All its files lie in
    `scratch`, which is removed.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    giver = RoleGiver(seats, nic, scratch, progress)
    try:
        yield giver
    finally:
        with held_back():
            giver.close()
            shutil.rmtree(scratch, ignore_errors=True)


def give_roles(targets: Mapping[Role, RoleTarget], nic: NicProfile, scratch: Path, progress: Progress) -> None:
    """Run the playbook on guests that are ready. Raises HostTrouble, DeadlinePassed."""
    seats = {role: Seat(target.link, target.address.key_file) for role, target in targets.items()}
    with role_giver(seats, nic, scratch, progress) as giver:
        giver.give(targets)
