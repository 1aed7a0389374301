# SPDX-License-Identifier: GPL-2.0-only
"""A host's end of the wire: `lab batch --serve`, the one command that a fleet's key may run there.

It answers what a controller asks on standard input, one thing after the other. All that a controller can name is an
order, a batch that it has ordered, and the digest of a file that it brings.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, cast

from pydantic import TypeAdapter, ValidationError

from lab.errors import BadInput, HostTrouble, LabError
from lab.experiments.found import all_cases
from lab.fleet import artefacts
from lab.fleet.batch import ORDER, RESULT, Outcome, execute, host_facts, read_order
from lab.fleet.orders import Artefact, WorkOrder, dump_order, parse_order, plan_of
from lab.fleet.stream import pack
from lab.fleet.wire import Beating, LinkLost, Sink, Wire
from lab.host.filecache import locked
from lab.host.interrupt import SIGNALS
from lab.host.paths import cache_root
from lab.host.records import write_whole
from lab.host.size import host_size
from lab.host.version import lab_code, lab_version
from lab.plan.capacity import pairs_that_fit
from lab.plan.case import STANDARD
from lab.session.conduct import Listener
from lab.session.start_engine import LOG
from lab.text.words import one_line

KEPT = timedelta(days=7)
"""What nobody has fetched for so long goes."""
DOCTOR_SECONDS = 300
TOLD = 64 * 1024
_ARTEFACTS: TypeAdapter[list[Artefact]] = TypeAdapter(list[Artefact])


def outcomes() -> Path:
    """Where what batches left lies, until it was fetched."""
    return cache_root() / "fleet"


def serve() -> None:
    """Answer until the other end goes away. What else this process, or a library, prints goes to standard error."""
    inward, outward = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    wire = Wire(inward, outward, who="the controller")
    _prune()
    with contextlib.suppress(LinkLost), Beating(wire):
        while True:
            _answer(wire, wire.hear())


def _answer(wire: Wire, asked: dict[str, Any]) -> None:
    """Raises LinkLost."""
    answers: dict[str, Callable[[Wire, dict[str, Any]], None]] = {
        "facts": _facts,
        "lacking": _lacking,
        "put": _put,
        "batch": _batch,
        "fetch": _fetch,
        "doctor": _doctor,
    }
    try:
        ask = answers.get(str(asked.get("ask")))
        if ask is None:
            raise BadInput([f"this host knows {', '.join(answers)}"])
        ask(wire, asked)
    except LinkLost:
        raise
    except LabError as exc:
        wire.tell(problem=one_line(str(exc)), sense=not isinstance(exc, BadInput))
    except OSError as exc:
        wire.tell(problem=f"{exc.strerror}: {exc.filename or ''}", sense=True)


def _facts(wire: Wire, _: dict[str, Any]) -> None:
    size = host_size()
    wire.tell(
        facts={
            **host_facts(),
            "lab_version": lab_version(),
            "lab_code": lab_code(),
            "pairs": pairs_that_fit(size, [STANDARD] * 64),
            "available_mib": size.available_mib,
            "load": os.getloadavg()[0],
            "clock": time.time(),
            "free_mib": shutil.disk_usage(_there(cache_root())).free >> 20,
            "kvm": os.access("/dev/kvm", os.R_OK | os.W_OK),
            "at": sorted(_left()),
        }
    )


def _left() -> set[str]:
    """Keys of the orders of which something lies here."""
    return {path.name for path in outcomes().glob("*") if path.is_dir() and (path / ORDER).is_file()}


def _doctor(wire: Wire, _: dict[str, Any]) -> None:
    """What `lab doctor` says here; it proves that by booting."""
    argv = [sys.executable, "-P", "-m", "lab", "doctor", "--json"]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=DOCTOR_SECONDS)
    except subprocess.TimeoutExpired as exc:
        raise HostTrouble(f"lab doctor took longer than {DOCTOR_SECONDS} s") from exc
    said = done.stdout if done.stdout.strip() else done.stderr
    wire.tell(doctor=said.decode(errors="replace")[:TOLD], status=done.returncode)


def _there(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _files(asked: dict[str, Any]) -> list[Artefact]:
    try:
        return _ARTEFACTS.validate_python(asked.get("artefacts"))
    except ValidationError as exc:
        raise BadInput([f"artefacts: {exc.error_count()} problems"]) from exc


def _lacking(wire: Wire, asked: dict[str, Any]) -> None:
    absent = artefacts.lacking(_files(asked))
    wire.tell(lacking=[{"sha256": artefact.sha256, "begun": artefacts.begun(artefact)} for artefact in absent])


def _put(wire: Wire, asked: dict[str, Any]) -> None:
    if len(files := _files(asked)) != 1:
        raise BadInput(["artefacts: one is wanted"])
    artefact = files[0]
    with locked(artefacts.partial_of(artefact), progress=lambda _: None):
        is_here = artefacts.found(artefact) is not None  # another connection may have brought it
        begun = artefact.size if is_here else artefacts.begun(artefact)
        with contextlib.nullcontext() if is_here else artefacts.arriving(artefact) as out:
            wire.tell(begun=begun)  # there is room for it
            for piece in wire.pieces(artefact.size - begun):
                if isinstance(piece, bytes) and out is not None:
                    out.write(piece)
    wire.tell(there=artefacts.found(artefact) is not None)


def _batch(wire: Wire, asked: dict[str, Any]) -> None:
    """Have an order done, and send what comes of it. Where the controller goes away, the work ends in order."""
    order = parse_order(str(asked.get("order")).encode(), "the order", tuple(all_cases()))
    out = outcomes() / order.key
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / ORDER, dump_order(order))
    sent = asked.get("now")
    now = datetime.datetime.fromtimestamp(sent, datetime.UTC) if isinstance(sent, int | float) else None
    said = ""

    def doing(what: str) -> None:
        nonlocal said
        if what != said:
            said = what
            with contextlib.suppress(LinkLost):
                wire.tell(doing=one_line(what, 300))

    with _interrupted_by(wire):
        outcome = _executed(order, out, Listener(progress=doing, doing=doing), now)
    _send(wire, order.key, outcome)


def _executed(order: WorkOrder, out: Path, listener: Listener, now: datetime.datetime | None) -> Outcome:
    try:
        return execute(order, out, listener, now=now)
    except KeyboardInterrupt:
        return Outcome(75, ("it was told to stop before the first run",), interrupted=True)


@contextlib.contextmanager
def _interrupted_by(wire: Wire) -> Iterator[None]:
    """Whatever is heard in here, or no sign of life for longer than the lease, ends the work as Ctrl-C would."""
    over = threading.Event()
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def listen() -> None:
        told: dict[str, Any] | None = {}
        while told is not None and "go on" not in told:
            try:
                told = wire.hear()
            except HostTrouble:
                told = None
            if not over.is_set():
                os.kill(os.getpid(), signal.SIGINT)

    listener = threading.Thread(target=listen, name="lease", daemon=True)
    listener.start()
    try:
        yield
    finally:
        over.set()
        with contextlib.suppress(LinkLost):
            wire.tell(ended=True)  # the controller says `go on`: this thread is not to take what comes after it
        listener.join()
        for number, handler in before.items():
            signal.signal(number, handler)


def _fetch(wire: Wire, asked: dict[str, Any]) -> None:
    """What an order has left here. One that is still at work ends first: its controller is gone, or it would know."""
    key = str(asked.get("key"))
    if key not in _left():
        wire.tell(end={"code": 75, "trouble": ["nothing of it is here"], "sha256": "", "size": 0})
        return
    with locked(outcomes() / key, progress=lambda _: None):
        _send(wire, key, Outcome(0))


def _send(wire: Wire, key: str, outcome: Outcome) -> None:
    """All of it as one stream, then its hash; it goes when the controller says that it has it."""
    folder = outcomes() / key
    runs = [run.id for run in plan_of(read_order(folder / ORDER), cache_root()).runs]
    names = [path.name for path in folder.iterdir() if path.name.partition(".lost-")[0] in {*runs, RESULT, LOG}]
    digest, size = pack(folder, names, cast(IO[bytes], Sink(wire)))
    told = {"code": outcome.code, "trouble": list(outcome.trouble), "interrupted": outcome.interrupted}
    wire.tell(end={**told, "sha256": digest, "size": size})
    if wire.hear().get("have") == digest:
        shutil.rmtree(folder, ignore_errors=True)


def _prune() -> None:
    for folder in outcomes().glob("*"):
        with contextlib.suppress(OSError):
            if folder.is_dir() and time.time() - folder.stat().st_mtime > KEPT.total_seconds():
                shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    serve()
    sys.exit(0)
