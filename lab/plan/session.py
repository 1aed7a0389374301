# SPDX-License-Identifier: GPL-2.0-only
"""The plan of one session as a value on disk: what `lab run` decided, and what every worker reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache as once
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from lab.contracts import BootableKernel, GuestImage
from lab.errors import BadInput
from lab.host.records import dump_record, parse_record
from lab.plan.limits import Limits, times_slower
from lab.plan.matrix import Run
from lab.plan.names import digest

PLAN_FILE = "plan.json"
EVENTS_FILE = "events.jsonl"
IN_CACHE = "cache:"
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
    expect       the word that every run is expected to get; "" for what its case predicts
    layers       programs that experiments bring, each beside the image in the guests of its runs
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
    layers: tuple[GuestImage, ...] = ()
    expect: Literal["", "PASS", "FAIL", "ERROR", "DONE"] = ""

    def brought(self, kernel: str, case: str) -> Path:
        """Where lies what a case brings for guests of a kernel; it goes when the session is over."""
        return self.folder / BROUGHT / digest(kernel, case)

    def kernel(self, name: str) -> BootableKernel:
        return next(k for k in self.kernels if k.name == name)

    @property
    def images(self) -> tuple[GuestImage, ...]:
        """The userland that all guests have, and the layers."""
        return (self.image, *self.layers)

    def layer(self, key: str) -> GuestImage | None:
        """The layer of a run, by its key; None for none."""
        return next(layer for layer in self.layers if layer.key == key) if key else None

    def limits_of(self, kernel: str) -> Limits:
        """The session's; longer ones for a kernel that checks itself, which is many times slower."""
        return self.limits.longer(times_slower(self.kernel(kernel).fragments))


@once
def _adapter() -> TypeAdapter[SessionPlan]:
    """Made when it is needed: who looks for plans, and reads none, need not wait for it."""
    return TypeAdapter(SessionPlan)


def dump(plan: SessionPlan, cache: Path) -> bytes:
    """JSON of a plan. Kernels, images and plugin are named by their place in the cache, which is the key of their
    content, so that another host finds them in a cache of its own."""
    plain = _adapter().dump_python(plan, mode="json")
    for holder, key in artefacts_in(plain):
        if holder[key] and (path := Path(holder[key])).is_relative_to(cache):
            holder[key] = f"{IN_CACHE}{path.relative_to(cache)}"
    return dump_record(plain)


def load(data: bytes, cache: Path) -> SessionPlan:
    """The plan back, with paths in this cache. Raises BadInput for one that is damaged."""
    try:
        plain = parse_record(data)
        for holder, key in artefacts_in(plain):
            holder[key] = _resolved(holder[key], cache)
        return _adapter().validate_python(plain)
    except (ValueError, TypeError, KeyError) as exc:  # a ValidationError is a ValueError
        why = str(exc).splitlines()[0]
        raise BadInput([f"{PLAN_FILE} is damaged: {why}"], hint="run the session again") from exc


def artefacts_in(plain: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """Where the record of a plan names a file that guests are made of. Raises KeyError or TypeError for another."""
    for image in (plain["image"], *plain.get("layers", ())):
        yield image, "path"
    yield plain, "plugin"
    for kernel in plain["kernels"]:
        yield kernel, "boot"
        yield kernel, "initrd"


def _resolved(name: str | None, cache: Path) -> str | None:
    """The path of an artefact. Raises ValueError for one that leads out of the cache."""
    if name is None or not name.startswith(IN_CACHE):
        return name
    place = Path(name.removeprefix(IN_CACHE))
    if place.is_absolute() or ".." in place.parts:
        raise ValueError(f"{name} leads out of the cache")
    return str(cache / place)
