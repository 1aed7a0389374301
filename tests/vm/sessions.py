# SPDX-License-Identifier: GPL-2.0-only
"""Real sessions for the tests: run by pytest in a process of its own, and watched from outside.

Nothing here reaches into the process under test: what it does is read from its events and from /proc.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from lab.archive.reports import RESULTS, judged
from lab.collect.bundle import DERIVED
from lab.experiments.found import case_named
from lab.guestimage.layer import layer_of
from lab.host.paths import cache_root, project_root, suites_dir
from lab.pair.ready import pair_request
from lab.plan.session import EVENTS_FILE, PLAN_FILE, SessionPlan, dump
from lab.units import Deadline, wait_until
from tests.known import expand

Json = dict[str, Any]
LONG = timedelta(minutes=5)
"""A test that waits that long has failed; nothing is concluded from being faster or slower."""


def derived(
    base: SessionPlan,
    cells: Sequence[tuple[str, str]],
    folder: Path,
    sockets: Path,
    **changes: Any,  # noqa: ANN401
) -> SessionPlan:
    """A plan of (case, nic) cells of its own: new ids, new folder, this private directory; written to disk."""
    name = f"vm-{secrets.token_hex(4)}"
    kernel = base.kernels[0]
    layers = {case: layer_of(case_named(case).traffic, lambda _: None) for case, _ in cells}
    keys = {case: layer.key for case, layer in layers.items() if layer}
    tested = [(kernel.name, kernel.design)]
    runs = tuple(run for case, nic in cells for run in expand(name, tested, [nic], [case], 1, layers=keys))
    made = tuple(dict.fromkeys(filter(None, layers.values())))
    plan = replace(base, name=name, folder=folder / name, sockets=sockets, runs=runs, layers=made, **changes)
    plan.folder.mkdir(parents=True)
    (plan.folder / PLAN_FILE).write_bytes(dump(plan, cache_root()))
    return plan


def qemus(plan: SessionPlan) -> dict[str, int]:
    """Pids of the QEMU processes of a plan's pairs by domain name, whoever started them."""
    pairs = {pair_request(plan, run, attempt).id for run in plan.runs for attempt in (1, 2)}
    found: dict[str, int] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            argv = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            name = argv[argv.index("-name") + 1].removeprefix("guest=").split(",")[0]
            if name.removeprefix("lab-").rpartition("-")[0] in pairs:
                found[name] = int(entry.name)
    return found


@dataclass
class Session:
    """A process that runs suites, and the session's folder, which its events tell of."""

    process: subprocess.Popen[bytes]
    log: Path
    folder: Path

    @property
    def events(self) -> list[Json]:
        path = self.folder / EVENTS_FILE
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def reach(self, stage: str) -> None:
        """Wait until a stage that begins so is told."""

        def told() -> tuple[bool | None, object]:
            assert self.process.poll() is None, f"ended before {stage!r}:\n{self.text}"
            seen = [str(e.get("what", "")) for e in self.events]
            return (True if any(what.startswith(stage) for what in seen) else None), seen[-3:]

        wait_until(told, deadline=Deadline.after(f"the stage {stage!r}", LONG))

    def end(self, limit: timedelta = LONG) -> int:
        """Wait for the exit status."""
        return self.process.wait(limit.total_seconds())

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def results(self) -> list[Json]:
        """results.jsonl, one object per run."""
        return [json.loads(line) for line in (self.folder / RESULTS).read_text().splitlines()]

    def result(self, case: str, nic: str) -> Json:
        return next(r for r in self.results if (r["case"], r["nic"]) == (case, nic))


def pytest_argv(*args: str) -> list[str]:
    """The command line of pytest over suites/."""
    return [sys.executable, "-m", "pytest", str(suites_dir()), "-q", "-p", "no:cacheprovider", *args]


def _environment() -> dict[str, str]:
    """Ours, without what pytest tells its own workers."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}


@contextlib.contextmanager
def running(
    folder: Path, argv: Sequence[str], *, log: Path, env: dict[str, str] | None = None, prefix: Sequence[str] = ()
) -> Iterator[Session]:
    """A command that runs suites, in a process group of its own, which does not outlive the block."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*prefix, *argv],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**_environment(), **(env or {})},
            start_new_session=True,
        )
        try:
            yield Session(process, log, folder)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def running_plan(plan: SessionPlan, *, workers: int = 1, prefix: Sequence[str] = ()) -> Iterator[Session]:
    """The same for a plan."""
    argv = pytest_argv("-n", str(workers), "--lab-plan", str(plan.folder / PLAN_FILE))
    with running(plan.folder, argv, log=plan.folder / "pytest.log", prefix=prefix) as session:
        yield session


def run_script(plan: SessionPlan, script: str) -> Json:
    """One of tests/vm/scripts.py to its end, under a reaper as workers are; returns the bundle's verdict.json."""
    reaper = shutil.which("tini")
    argv = [sys.executable, "-m", "tests.vm.scripts", str(plan.folder / PLAN_FILE), script]
    argv = [reaper, "-s", "--", *argv] if reaper else argv
    done = subprocess.run(
        argv, cwd=project_root(), env=_environment(), capture_output=True, timeout=LONG.total_seconds(), check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    result: Json = json.loads((plan.folder / plan.runs[0].id / "verdict.json").read_text())
    return result


def assert_judged_alike_elsewhere(result: Json, folder: Path) -> None:
    """A copy of a bundle, without what was derived from it, gets the word and the findings that the session told."""
    ignore = shutil.ignore_patterns(*DERIVED)
    copy = Path(shutil.copytree(Path(result["bundle"]), folder / "elsewhere", ignore=ignore))
    again = judged(copy, "elsewhere")
    assert again.verdict.word.value == result["verdict"]
    assert [f.message for f in again.verdict.findings] == [f["message"] for f in result["findings"]]
