# SPDX-License-Identifier: GPL-2.0-only
"""Carries out one work order on this host: bundles and `batch.json` in a folder, by the engine of `lab run`.

Idempotent: what is finished is not run again, and after a kill only that is run which has no bundle.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lab.collect.stored import Stored, read_file
from lab.contracts import MANIFEST, Progress
from lab.errors import BadInput, LabError
from lab.evidence import bounds
from lab.evidence.bundle import read_manifest
from lab.evidence.files import InMemory
from lab.experiments.found import all_cases
from lab.fleet import artefacts
from lab.fleet.examine import examine
from lab.fleet.orders import WorkOrder, parse_order, plan_of
from lab.host.filecache import locked
from lab.host.paths import cache_root
from lab.host.records import parse_record, write_record, write_whole
from lab.host.size import memory_mib
from lab.host.version import lab_code, lab_version
from lab.plan.session import PLAN_FILE, SessionPlan, dump
from lab.report.model import RunResult
from lab.session.conduct import Listener, watch
from lab.units import MIB, utc_now

RESULT = "batch.json"
ORDER = "order.json"
FORMAT = 1

DONE = 0
NO_SENSE = 65
"""EX_DATAERR of sysexits.h: the order, wherever it is tried."""
TRY_ELSEWHERE = 75
"""EX_TEMPFAIL: this host, or the lab on it. The only thing that is retried."""

MOST_ORDER = 16 * MIB


@dataclass(frozen=True)
class Outcome:
    """How a batch ended: its exit code, what was in the way, and whether a signal ended it."""

    code: int
    trouble: tuple[str, ...] = ()
    interrupted: bool = False


def read_order(path: Path) -> WorkOrder:
    """Raises BadInput with all that is wrong with it."""
    data = read_file(path, MOST_ORDER)
    if data is None:
        raise BadInput([f"{path}: no regular file of at most {MOST_ORDER // MIB} MiB"])
    return parse_order(data, str(path), tuple(all_cases()))


def execute(order: WorkOrder, out: Path, listener: Listener, *, now: datetime.datetime | None = None) -> Outcome:
    """Have the runs of an order done, those of them that `out` has no bundle of. Never raises LabError.

    `now` is the time at the controller, where it is known. Raises KeyboardInterrupt before the first run.
    """
    out = out.resolve()
    try:
        out.mkdir(parents=True, exist_ok=True)
        with locked(out, progress=listener.progress, holder="the same order"):
            return _execute(order, out, listener, now)
    except LabError as exc:
        return _given_up(order, out, [exc.message])
    except OSError as exc:
        return _given_up(order, out, [f"{exc.strerror}: {exc.filename or out}"])


def _execute(order: WorkOrder, out: Path, listener: Listener, now: datetime.datetime | None) -> Outcome:
    if (known := _told_before(order, out)) is not None:
        return known
    began, plan = utc_now(), plan_of(order, cache_root())
    todo = tuple(run for run in plan.runs if not is_done(out / run.id))
    listener.progress("looking at this host")
    if todo and (problems := examine(order, out, now)):
        return _given_up(order, out, problems)
    results: dict[str, RunResult] = {}
    interrupted = False
    if todo:
        with _prepared(order, replace(plan, folder=out, runs=todo), listener.progress) as (ready, engine):
            listener.planned(ready)
            done = watch(ready, engine, listener)
            interrupted, results = done.interrupted, dict(done.results)
    missing = [run.id for run in plan.runs if not is_done(out / run.id)]
    trouble = [f"{len(missing)} of {len(plan.runs)} runs left no sound bundle"] if missing else []
    outcome = Outcome(TRY_ELSEWHERE if missing else DONE, tuple(trouble), interrupted)
    _write(order, out, outcome, {"began": began, "runs": _runs(plan, out, results)})
    return outcome


@contextlib.contextmanager
def _prepared(order: WorkOrder, plan: SessionPlan, progress: Progress) -> Iterator[tuple[SessionPlan, Any]]:
    """The plan as it is carried out here, and an engine for it."""
    from lab.host.interrupt import end_in_order
    from lab.host.size import require_files
    from lab.provision.private import private_folder
    from lab.session.start_engine import started

    require_files()
    end_in_order()
    with contextlib.ExitStack() as stack:
        sockets = private_folder(stack.callback)
        engine = stack.enter_context(started())
        ready = _for_this_host(order, replace(plan, sockets=sockets), progress)
        write_whole(ready.folder / PLAN_FILE, dump(ready, cache_root()))
        yield ready, engine


def _for_this_host(order: WorkOrder, plan: SessionPlan, progress: Progress) -> SessionPlan:
    """Files in their places, what is made here, an accelerator that was proved, and room for a pair."""
    from lab.drive.role import ensure_settings
    from lab.session.prepare import choose_accelerator, ensure_plugin_for, most_pairs
    from lab.spec.request import SessionRequest

    plan = artefacts.with_places(plan, order.artefacts)
    ensure_settings(plan.runs[0].profile, progress)
    request = SessionRequest(accelerator=order.accelerator, pairs=1, connect=plan.connect)
    most_pairs(request, plan.runs)
    progress("proving the accelerator")
    accelerator, why = choose_accelerator(request, plan.kernels, plan.image, plan.folder, plan.sockets)
    plugin = ensure_plugin_for(plan.runs, accelerator, progress)
    return replace(plan, accelerator=accelerator, accelerator_why=why, plugin=plugin)


# -- what is there ---------------------------------------------------------------------------------------------------


def is_done(bundle: Path) -> bool:
    """Whether a run has left a bundle there, and no signal had ended it."""
    data = read_file(bundle / MANIFEST, bounds.MANIFEST)
    if data is None:
        return False
    try:
        manifest = read_manifest(InMemory({MANIFEST: data}))
    except BadInput:
        return False
    return not any(incident.kind == "interrupted" for incident in manifest.incidents)


def _told_before(order: WorkOrder, out: Path) -> Outcome | None:
    """How the same order ended here before; None when it has not, or came to nothing."""
    data = read_file(out / RESULT, bounds.MANIFEST)
    if data is None:
        return None
    try:
        told = parse_record(data)
        same = (told["batch"], told["attempt"], told["code"]) == (order.batch, order.attempt, DONE)
    except (ValueError, KeyError):
        return None
    return Outcome(DONE) if same and all(is_done(out / run.id) for run in plan_of(order, cache_root()).runs) else None


def _runs(plan: SessionPlan, out: Path, results: dict[str, RunResult]) -> dict[str, dict[str, Any]]:
    """What this host says of each run; whoever gets it judges the bundle again."""
    told: dict[str, dict[str, Any]] = {}
    for run in plan.runs:
        if (out / run.id / MANIFEST).is_file():
            result = results.get(run.id) or _judged(out / run.id, run.id)
            told[run.id] = {
                "word": result.verdict.word.value if result else "",
                "manifest": Stored(out / run.id).record(MANIFEST).sha256,
                "started": result.manifest.started if result else "",
                "seconds": result.manifest.seconds.model_dump() if result else {},
            }
    return told


def _judged(bundle: Path, name: str) -> RunResult | None:
    from lab.archive.reports import told

    with contextlib.suppress(BadInput):
        return told(bundle, name)
    return None


def _given_up(order: WorkOrder, out: Path, problems: Sequence[str]) -> Outcome:
    outcome = Outcome(TRY_ELSEWHERE, tuple(problems))
    with contextlib.suppress(OSError):  # a full disk takes no reason either
        _write(order, out, outcome, {"began": utc_now(), "runs": {}})
    return outcome


def _write(order: WorkOrder, out: Path, outcome: Outcome, more: dict[str, Any]) -> None:
    """The result, last and whole. Raises OSError."""
    record = {
        "format": FORMAT,
        "batch": order.batch,
        "attempt": order.attempt,
        "code": outcome.code,
        "interrupted": outcome.interrupted,
        "trouble": list(outcome.trouble),
        "lab_version": lab_version(),
        "lab_code": lab_code(),
        "host": host_facts(),
        "ended": utc_now(),
        **more,
    }
    write_record(out / RESULT, record)


def host_facts() -> dict[str, Any]:
    """What tells this host from others."""
    return {
        "node": platform.node(),
        "system": platform.release(),
        "cpus": os.cpu_count() or 0,
        "memory_mib": memory_mib("MemTotal"),
    }
