# SPDX-License-Identifier: GPL-2.0-only
"""Bundles made to measure: a script of a run writes the bytes that a run would have left behind.

`story(case)` tells a run on a kernel that keeps its promise. Its fields are plain lists and dicts, so that a test can
spoil one thing and say which verdict that must give.
"""

from __future__ import annotations

from dataclasses import replace

from lab.evidence.manifest import FORMAT
from lab.plan.case import ClientSpec
from lab.plan.names import Family, link_address
from lab.plan.nics import NICS
from lab.units import MIB
from lab.verdict.case import Case
from suites.rx_zerocopy.shares import is_pooled
from tests.known import CASES
from tests.unit.verdict.machine import KERNELS, Client, Json, Kernel, Machine, PagePool
from tests.unit.verdict.scripts import SCRIPTS, ordinary
from tests.unit.verdict.told import WORK, Story

HOME = {"pool-release": ("virtio-jumbo", "7.3.4-lab"), "recycled-charge": ("virtio-jumbo", "7.3.4-lab")}
"""Where a case is at home that can be tried nowhere else: NIC profile and kernel."""

ELSEWHERE = ("e1000e-split", "6.12.0-lab")


def at_home(case: str) -> tuple[str, str, str]:
    """NIC profile, case and release, as `predicted` takes them."""
    nic, release = HOME.get(case, ELSEWHERE)
    return nic, case, release


def compared(kernel: Kernel = Kernel(), *, work: float = WORK, same: bool = False) -> Story:  # noqa: B008
    """A run of `cost` on a kernel that needs so many instructions for a MB, beside one that needs WORK."""
    told, told.reference = _told("cost", kernel, work=work), _told("cost", KERNELS["stock"])
    told.manifest["reference"] = "stock"
    if not same:
        told.manifest["kernel"] = {**told.manifest["kernel"], "sha256": "1" * 64}
    return told


def story(case: str, kernel: Kernel = Kernel(), *, nic: str = "", deliver: int = 0) -> Story:  # noqa: B008
    """A whole run of a case on a kernel; judged PASS when the kernel charges everything. `deliver` bends the case; the
    NIC is the one where it is at home, when none is given."""
    return compared(kernel) if CASES[case].compares else _told(case, kernel, nic=nic, deliver=deliver)


def _told(case: str, kernel: Kernel, *, nic: str = "", deliver: int = 0, work: float = WORK) -> Story:
    table, (home, release) = CASES[case], HOME.get(case, ELSEWHERE)
    # Only an endless stream is told by the clock; the others as they come.
    clients = tuple(replace(c, deliver=deliver or c.deliver, rate=0 if c.deliver else c.rate) for c in table.clients)
    told = _begin(replace(table, clients=clients), kernel, nic or home)
    told.manifest["kernel"]["release"] = release
    told.machine.driver = PagePool() if is_pooled(NICS[nic or home], release) else None
    told.work, began = work, told.machine.t
    told.wait(3)
    if {"buried", "reaped", "nothing-left"} & {rule.name for rule in table.rules}:
        told.machine.dying = 1
        told.mark("control")
    told.bookend("baseline")
    told.wait(1)
    SCRIPTS.get(case, ordinary)(told)
    told.wait(2)
    for spec in told.case.clients if not told.case.compares else ():
        told.quit(spec)
    told.wait(2)
    told.machine.dying = 0
    told.mark("end")
    for client in told.machine.clients.values():
        client.cgroup = False
    told.machine.groups = ()
    told.wait(1)
    told.bookend("after")
    told.wait(1)
    told.manifest["seconds"] = {"provision": 1.0, "drive": told.machine.t - began, "collect": 0.1}
    return told


def _begin(case: Case, kernel: Kernel, nic: str) -> Story:
    clients = {
        c.name: Client(c.name, c.behaviour, c.limit, ino=500 + i, pid=300 + i, unkillable=c.unkillable)
        for i, c in enumerate(case.clients)
    }
    for spec in case.clients:
        clients[spec.name].above = spec.within.name if spec.within else ""
        clients[spec.name].shares_in = spec.shares_in.name if spec.shares_in else ""
    machine = Machine(kernel, clients, case.groups)
    machine.console += ["[    0.000000] Linux version 6.12.0-lab", "lab-init: ready"]
    preflight = {"t": 90.0, "event": "done", "delivered": 4 * MIB, "mapped": round(3.9 * MIB), "hash": "0"}
    told = Story(case, machine, _manifest(case, nic), preflight=[preflight])
    told.sender_console.append("[    0.000000] Linux version 6.12.0-lab")
    told.clients = {c.name: [] for c in case.clients}
    return told


def _manifest(case: Case, nic: str) -> Json:
    zero = "0" * 64
    shape = case.shape
    return {
        "format": FORMAT,
        "run": f"test.{nic}.{case.name}.0",
        "case": case.name,
        "nic": nic,
        "repeat": 0,
        "predicted": "PASS",
        "kernel": {"name": "k", "release": "6.12.0-lab", "design": "stock", "sha256": zero, "config_sha256": zero},
        "host": {
            "qemu": "7.2.0",
            "libvirt": "9.0.0",
            "accelerator": "tcg",
            "connection": "qemu:///embed",
            "machine": "pc-q35-7.2",
            "image_sha256": zero,
        },
        "pair": {
            "id": "p0",
            "shape": shape.name,
            "receiver_mib": shape.receiver_mib,
            "sender_mib": shape.sender_mib,
            "runs_before": 0,
            "vcpus": shape.vcpus("receiver"),
            "cmdline": "quiet",
        },
        "mtu": NICS[nic].mtu,
        "family": case.family or "ipv4",
        "floor": NICS[nic].floor,
        "clients": [_client_row(c, case.family or "ipv4") for c in case.clients],
        "incidents": [],
        "seconds": {"provision": 1.0, "drive": 2.0, "collect": 0.1},
        "started": "2026-01-01T00:00:00Z",
        "lab_version": "0.1.0",
        "reproduce": "lab run",
    }


def _client_row(spec: ClientSpec, family: Family) -> Json:
    to = link_address("p0", "receiver").of(family)
    return {
        "name": spec.name,
        "behaviour": spec.behaviour,
        "limit": spec.limit,
        "lowered": spec.lowered,
        "deliver": spec.deliver,
        "argv": ["zc-client"],
        "sender_argv": ["zc-sender", "--to", to, *(["--rate", str(spec.rate)] if spec.rate else [])],
        "seed": 1,
        "status": 0,
        "sender_status": 0,
    }
