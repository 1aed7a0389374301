# SPDX-License-Identifier: GPL-2.0-only
"""Nights without guests: real bundles, a real archive and a real diary; only what boots machines is replaced."""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import traceback
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.campaign import culprits, nightly, sources, telling
from lab.campaign.asked import Asked
from lab.campaign.tonight import alone
from lab.contracts import BootableKernel, GuestImage
from lab.errors import BadInput
from lab.host import post, records
from lab.host.paths import cache_root
from lab.plan.matrix import Run
from lab.plan.session import PLAN_FILE, SessionPlan, dump
from lab.session.conduct import Conducted, Listener
from lab.spec.night import load_night
from lab.spec.request import SessionRequest
from lab.units import utc_now
from tests.unit.archive.stored import changed
from tests.unit.cli.conftest import write_run
from tests.unit.verdict.machine import KERNELS

INCIDENT = {"kind": "boot", "guest": "receiver", "detail": "no carrier", "t": "2026-01-01T00:00:00+00:00"}


class Killer:
    """Counts steps, and ends this process before one of them."""

    def __init__(self, before: int) -> None:
        self.before, self.steps = before, 0

    def __call__(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **named: Any) -> Any:  # noqa: ANN401 - any step
            self.steps += 1
            if self.steps == self.before:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(*args, **named)

        return wrapped


def kernel_called(name: str) -> BootableKernel:
    sha256 = uuid.uuid5(uuid.NAMESPACE_URL, name).hex * 2
    return BootableKernel(name, Path("/nowhere/b"), Path("/nowhere/i"), "6.12.1-lab", "put-hook", sha256, "")


def conducted(words: dict[str, str], bundle: Callable[..., Any]) -> Callable[..., Conducted]:
    """What stands in for guests: a session whose runs give these words by case."""

    def conduct(request: SessionRequest, folder: Path, listener: Listener, *, only: Callable[[Run], bool]) -> Conducted:
        name = f"{datetime.datetime.now(datetime.UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:8]}"
        kernel = kernel_called(request.kernels[0])
        cases = request.names
        runs = tuple(
            run
            for case in cases
            for repeat in range(request.repeat)
            if only(run := Run(name, kernel.name, kernel.design, request.nics[0], case, repeat))
        )
        plan = SessionPlan(
            name=name,
            started=utc_now(),
            command=request.command,
            folder=folder / name,
            sockets=Path("/nowhere/s"),
            connect="embed",
            accelerator="tcg",
            pairs=1,
            image=GuestImage(Path("/nowhere/image"), "0" * 64, "key"),
            kernels=(kernel,),
            runs=runs,
        )
        plan.folder.mkdir(parents=True)
        (plan.folder / PLAN_FILE).write_bytes(dump(plan, cache_root()))
        for run in runs:
            bundle(plan, run, kernel, words[run.case])
        return Conducted(plan, False, {})

    return conduct


def write_bundle(plan: SessionPlan, run: Run, kernel: BootableKernel, word: str) -> None:
    """A bundle that gives a word; its manifest comes last, as the lab's does."""
    work = plan.folder / f".{run.id}"
    write_run(work, run.case, kernel=KERNELS["stock" if word == "F" else "put-hook"])
    told = {"name": kernel.name, "release": kernel.release, "design": kernel.design, "sha256": kernel.sha256}
    record = {**told, "config_sha256": "", "initrd_sha256": ""}
    incidents = [INCIDENT] if word == "M" else []
    changed(
        work,
        run=run.id,
        nic=run.nic,
        repeat=run.repeat,
        started=utc_now(),
        kernel=record,
        incidents=incidents,
        session=plan.name,
        predicted="PASS",
        reproduce=f"lab run {run.case} --kernel {kernel.name} --nic {run.nic}",
    )
    work.rename(plan.folder / run.id)


def looked_for(command: str, folder: Path, results: Path, *_: object) -> culprits.Found:
    """What stands in for a search: it finds a culprit, and leaves a mark wherever it was begun."""
    folder.mkdir(parents=True, exist_ok=True)
    with (results.parent / "searched").open("a") as stream:
        stream.write(f"{folder.name}: {command}\n")
    if (results.parent / "unsearchable").exists():
        raise BadInput(["there is no such package"])
    return culprits.Found("culprit: k2", f"Subject: [bisected] k2\n\n{command}\n")


def one_night(file: Path, kernel: str, words: str, kill: int = 0, only: tuple[str, ...] = ()) -> nightly.Ended:
    """One night, in which a kernel gives `words` (P, F or M, by the case in the order of the file), and which ends
    itself by SIGKILL before its `kill`-th step that changes the disk or runs something (0: never). For a process of its
    own: it replaces what boots machines.
    """
    killer = Killer(kill)
    spec = load_night(file.read_text(), str(file))
    cases = dict(zip(spec.cases, words, strict=True))
    write = killer(records.write_whole)
    replaced = [
        (nightly, "source_of", killer(lambda target, folder, progress: sources.Source(kernel))),
        (nightly, "made", killer(lambda name, progress: kernel_called(name))),
        (nightly, "refresh_lists", lambda progress: ()),
        (telling, "send", killer(post.send)),
        (telling, "write_whole", write),
        (records, "write_whole", write),
        (culprits, "look_for", killer(looked_for)),
    ]
    for module, name, value in replaced:
        assert hasattr(module, name)
        setattr(module, name, value)
    root = file.parent / "results"
    conduct = killer(conducted(cases, killer(write_bundle)))
    with alone(root):
        return nightly.Nightly(Asked(file, spec, root, only, conduct), lambda _: None).work()


@dataclass(frozen=True)
class Done:
    """How a night ended: its exit status as subprocess has it, and what it said."""

    status: int
    said: str


def night(file: Path, kernel: str, words: str, kill: int = 0, only: tuple[str, ...] = ()) -> Done:
    """`one_night` in a process of its own, which has all modules already; its mails go through FILE's sendmail."""
    said = file.parent / "said"
    said.write_text("")
    child = os.fork()
    if not child:
        status = 1
        try:
            with said.open("w") as stream, contextlib.redirect_stderr(stream):
                post._PLACES = (str(file.parent / "sendmail"), "")
                try:
                    stream.write(one_night(file, kernel, words, kill, only).line)
                    status = 0
                except BaseException:  # noqa: BLE001 - whatever it is, the parent is told
                    traceback.print_exc(file=stream)
        finally:
            os._exit(status)
    return Done(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.read_text())
