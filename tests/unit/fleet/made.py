# SPDX-License-Identifier: GPL-2.0-only
"""Plans and orders that name real files, of which no guest could be made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.contracts import BootableKernel, GuestImage
from lab.fleet.artefacts import artefacts_of
from lab.fleet.orders import WorkOrder, batches, order_for
from lab.host.digests import sha256_of
from lab.host.paths import cache_root
from lab.host.version import lab_code, lab_version
from lab.plan.matrix import Run
from lab.plan.session import SessionPlan
from lab.units import utc_now
from tests.known import expand, predicted
from tests.unit.verdict.builder import story
from tests.unit.verdict.machine import KERNELS

LAYER = "programs"


def plan_in(folder: Path, cases: tuple[str, ...] = ("hold", "release"), **changes: Any) -> SessionPlan:  # noqa: ANN401
    """A session of these cases on two NICs; what its guests would be made of lies in the cache."""
    files = {name: cache_root() / "kernels" / "k" / name for name in ("boot", "initrd", "image", "layer")}
    for name, path in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 100)
    digest = {name: sha256_of(path) for name, path in files.items()}
    kernel = BootableKernel(
        "6.12", files["boot"], files["initrd"], "6.12.0", "stock", digest["boot"], "", initrd_sha256=digest["initrd"]
    )
    fields: dict[str, Any] = {
        "name": "s1",
        "started": "2026-01-01T00:00:00+00:00",
        "command": "lab run",
        "folder": folder,
        "sockets": folder / "s",
        "connect": "embed",
        "accelerator": "auto",
        "pairs": 1,
        "image": GuestImage(files["image"], digest["image"], "key"),
        "kernels": (kernel,),
        "layers": (GuestImage(files["layer"], digest["layer"], LAYER),),
        "runs": tuple(
            replace(run, layer=LAYER)
            for run in expand("s1", [("6.12", "stock")], ["virtio", "e1000e-split"], list(cases), 1)
        ),
    }
    return SessionPlan(**{**fields, **changes})


def order_of(plan: SessionPlan, attempt: int = 1) -> WorkOrder:
    """Its first batch."""
    name, runs = next(iter(batches(plan).items()))
    lab = (lab_version(), lab_code())
    return order_for(plan, name, runs, attempt, artefacts_of(plan), made=utc_now(), lab=lab, cache=cache_root())


def bundle_of(plan: SessionPlan, run: Run, folder: Path, /, **changes: Any) -> Path:  # noqa: ANN401
    """The bundle that a run of this plan leaves on a stock kernel, whose manifest says something else where told."""
    told, kernel = story(run.case, KERNELS["stock"], nic=run.nic), plan.kernel(run.kernel)
    told.manifest |= {
        "run": run.id,
        "session": plan.name,
        "predicted": predicted(run.design, run.nic, run.case).value,
        "kernel": told.manifest["kernel"] | {"name": kernel.name, "sha256": kernel.sha256},
        "host": told.manifest["host"] | {"image_sha256": plan.image.sha256},
        "layer_sha256": plan.layers[0].sha256,
        **changes,
    }
    for name, data in told.files().items():
        path = folder / run.id / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder / run.id


INTERRUPTED = [{"kind": "interrupted", "guest": "", "detail": "SIGINT", "t": "2026-01-01T00:00:00Z"}]
