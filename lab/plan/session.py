# SPDX-License-Identifier: GPL-2.0-only
"""The plan of one session as a value on disk: what `lab run` decided, and what every worker reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from lab.contracts import BootableKernel, GuestImage
from lab.errors import BadInput
from lab.host.records import dump_record, parse_record
from lab.plan.limits import Limits, times_slower
from lab.plan.matrix import Run
from lab.plan.names import digest

PLAN_FILE = "plan.json"
EVENTS_FILE = "events.jsonl"
BROUGHT = "brought"


@dataclass(frozen=True)
class SessionPlan:
    """All that is decided before the first guest starts.

    started      ISO 8601, UTC;  command as the user typed it
    folder       where bundles and reports go
    sockets      a short directory for AF_UNIX sockets and libvirt state, removed at the end
    accelerator  `kvm` or `tcg`, proved for these kernels;  accelerator_why  why not KVM, or what was odd about the
                 proof, "" for nothing to tell
    pairs        how many may run at once;  pairs_why  the reason for that number
    host         the shape of the host, by which what is learnt of it is remembered
    plugin       the QEMU plugin that counts instructions, where a run needs it
    cold         every pair boots; else it is restored from a saved state
    notes        what is worth telling before anything runs
    """

    name: str
    started: str
    command: str
    folder: Path
    sockets: Path
    connect: str
    accelerator: str
    pairs: int
    image: GuestImage
    kernels: tuple[BootableKernel, ...]
    runs: tuple[Run, ...]
    limits: Limits = field(default_factory=Limits)
    plugin: Path | None = None
    pairs_why: str = ""
    host: str = ""
    cold: bool = False
    accelerator_why: str = ""
    notes: tuple[str, ...] = ()

    def brought(self, kernel: str, case: str) -> Path:
        """Where lies what a case brings for guests of a kernel; it goes when the session is over."""
        return self.folder / BROUGHT / digest(kernel, case)

    def kernel(self, name: str) -> BootableKernel:
        return next(k for k in self.kernels if k.name == name)

    def limits_of(self, kernel: str) -> Limits:
        """The session's; longer ones for a kernel that checks itself, which is many times slower."""
        return self.limits.longer(times_slower(self.kernel(kernel).fragments))


@cache
def _adapter() -> TypeAdapter[SessionPlan]:
    """Made when it is needed: who looks for plans, and reads none, need not wait for it."""
    return TypeAdapter(SessionPlan)


def dump(plan: SessionPlan) -> bytes:
    """JSON of a plan."""
    return dump_record(_adapter().dump_python(plan, mode="json"))


def load(data: bytes) -> SessionPlan:
    """The plan back. Raises BadInput for one that is damaged."""
    try:
        return _adapter().validate_python(parse_record(data))
    except ValueError as exc:  # a ValidationError is one
        why = str(exc).splitlines()[0]
        raise BadInput([f"{PLAN_FILE} is damaged: {why}"], hint="run the session again") from exc
