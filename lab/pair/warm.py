# SPDX-License-Identifier: GPL-2.0-only
"""Warm pairs: booted and prepared once, saved, and restored from then on.

A run on a restored pair must say what it would have said on a booted one: what is stale or must differ between guests
is made anew (images/guest/lab-init-wake.c), and the pair has to pass a health check before anybody uses it. What does
not pass is dropped with its state, and the run gets a pair that boots.
"""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from lab.collect.stream import last_lines
from lab.contracts import EMBEDDED, Progress
from lab.drive.ssh import GuestShell, connected
from lab.errors import Fault, HostTrouble, LabTrouble
from lab.evidence.memory import unexplained
from lab.evidence.model import Sample
from lab.evidence.telemetry import parse_checkpoints, parse_telemetry
from lab.host.filecache import key_of, locked, require_space
from lab.host.paths import project_root
from lab.host.size import cpu_of
from lab.pair.booted import ATTEMPTS, booted_pair, emptied
from lab.pair.ready import ReadyPair, address_of, preflight_reached
from lab.pair.timeline import Timeline
from lab.plan.commands import checkpoint_argv
from lab.plan.domain import BASE_CMDLINE
from lab.plan.names import Role
from lab.provision import states
from lab.provision.guest import Guest
from lab.provision.hypervisor import Hypervisor
from lab.provision.pair import PairRequest, emulator, provisioned
from lab.provision.saved import RefusedError, memory_cure, memory_refused
from lab.provision.states import (
    CONNECTIONS,
    RECORD,
    SAMPLE,
    SavedState,
    UnreadError,
    boot_id,
    drop,
    find,
    folder_of,
    of_host,
    prune,
    seal,
)
from lab.units import MIB, Deadline, utc_now, wait_until

NEEDED = 2048 * MIB
"""Free disk before a state is made: upper bound of two guests' touched memory."""

DRIFT = 8 * MIB
"""Unexplained memory by which a restored guest under test may differ from the one that was saved."""


def about(hypervisor: Hypervisor, request: PairRequest) -> dict[str, str]:
    """All that a saved pair depends on, by name. A later boot of this host may have another TSC: states end with it."""
    kernel, role = request.kernel, project_root() / "playbooks" / "roles" / "guest"
    recipe = [path for path in sorted(role.rglob("*")) if path.is_file()]
    return {
        "kernel": kernel.name,
        "kernel_sha256": kernel.sha256,
        "initrd_sha256": kernel.initrd_sha256,
        "image_sha256": request.image.sha256,
        "layer_sha256": request.layer.sha256 if request.layer else "",
        "nic": request.nic.name,
        "profile": key_of(repr(request.nic)),
        "shape": request.shape.name,
        "sizes": key_of(repr(request.shape)),
        "traffic": request.traffic.key if request.traffic else "",
        "cmdline": BASE_CMDLINE,
        "roles": key_of(*(path.read_bytes() for path in recipe)),
        "accelerator": request.accelerator,
        "qemu": f"{hypervisor.qemu_version} {Path(emulator()).stat().st_mtime_ns}",
        "machine": hypervisor.machine,
        "libvirt": hypervisor.libvirt_version,
        "plugin": str(request.plugin or ""),
        "connection": hypervisor.uri if hypervisor.uri in CONNECTIONS else EMBEDDED,
        "runs_as": hypervisor.account.name if hypervisor.account else "",
        "boot": boot_id(),
        "cpu": cpu_of(Path("/proc/cpuinfo").read_text()),
    }


def key_for(facts: dict[str, str]) -> str:
    return key_of(*(f"{name}={value}" for name, value in sorted(facts.items())))


def exists(hypervisor: Hypervisor, request: PairRequest) -> bool:
    """Whether a state is there, so that a warm pair is a matter of a second."""
    return folder_of(key_for(about(hypervisor, request))).is_dir()


@contextlib.contextmanager
def warm_pair(
    hypervisor: Hypervisor, request: PairRequest, progress: Progress, timeline: Timeline | None = None
) -> Iterator[ReadyPair]:
    """A pair as `ready_pair` gives it, restored from its saved state, which is made first where there is none.

    Where that cannot be done the pair boots, and says why in `note`. Raises LabTrouble as `ready_pair` does.
    """
    facts, timeline = about(hypervisor, request), timeline or Timeline()
    key = key_for(facts)
    with contextlib.ExitStack() as stack:
        note = ""
        try:
            state = _found(key) or make(hypervisor, request, facts, progress, timeline)
            ready = stack.enter_context(restored(hypervisor, request, state, progress, timeline))
        except CannotSaveError as exc:
            note = exc.message
        except RestoreError as exc:
            note = _given_up(key, exc, _set_aside(request.captures))
        if note:
            progress("booting instead: " + note.splitlines()[0])
            shutil.rmtree(request.captures, ignore_errors=True)
            ready = stack.enter_context(booted_pair(hypervisor, request, progress, timeline))
            ready.note = "\n".join(filter(None, (note, ready.note)))
        yield ready


def _given_up(key: str, exc: RestoreError, aside: str) -> str:
    """Drop a state that could not be used, unless something else may have been at fault; in words."""
    if wrong := damaged_state(key):
        told = exc.told if wrong in exc.message else f"{wrong}; {exc.told}"
        return f"the state {key} was dropped{aside}: {told}"
    if exc.by_host or (not exc.by_state and states.spare(key)):
        return f"the state {key} is as it was saved, and was kept{aside}: {exc.told}"
    drop(key)
    return f"the state {key} was dropped{aside}: {exc.told}"


def damaged_state(key: str) -> str:
    """What of a state is not as it was saved, all read anew; "" when all is well, or it is gone. Damage drops it."""
    try:
        state = find(key)
        wrong = states.damage(state, anew=True) if state else ""
    except UnreadError:
        return ""  # whoever lacks what it takes to read cannot call it damaged
    except HostTrouble as exc:
        wrong = exc.message
    if wrong:
        drop(key)
    return wrong


def _set_aside(captures: Path) -> str:
    """Keep what guests said that could not be used, if there were any: a kernel may have crashed. Says where it is."""
    kept = captures.with_name(f"{captures.name}-dropped")
    with contextlib.suppress(FileNotFoundError):
        captures.rename(kept)
        return f" (what its guests said is in pairs/{kept.name})"
    return ""


NOT_KEPT = shutil.ignore_patterns("telemetry.jsonl", "instructions.jsonl", "domain.xml")
"""Captures of the pair that was saved which say nothing of those restored from it."""


POLL = timedelta(milliseconds=10)


class CannotSaveError(HostTrouble):
    """The pair is well, but this host cannot save it."""


class RestoreError(LabTrouble):
    """No pair could be had of a state. `by_state`: it is the state that is not fit for use, and nothing else; what the
    host did meanwhile is in `seen`."""

    def __init__(self, message: str, *, by_state: bool = True) -> None:
        super().__init__(message)
        self.by_state = by_state

    @property
    def by_host(self) -> bool:
        """Whether the host took a guest away, or time from it: that says nothing against the state."""
        return any(fault.kind != "flood" for fault in self.seen)

    @property
    def told(self) -> str:
        return "; ".join([self.message, *(f"{fault.kind} on the {fault.guest}: {fault.detail}" for fault in self.seen)])


# -- making ----------------------------------------------------------------------------------------------------------


def make(
    hypervisor: Hypervisor, request: PairRequest, facts: dict[str, str], progress: Progress, timeline: Timeline
) -> SavedState:
    """Boot and prepare a pair, and save it. One process at a time makes a state; the others wait and find it.

    Raises CannotSaveError; LabTrouble when the pair does not get ready, with its captures where the request has them.
    """
    key = key_for(facts)
    folder = folder_of(key)
    with locked(folder, progress=progress):
        if (state := _found(key)) is not None:
            return state
        _require_disk(folder)
        prune(boot=boot_id())
        partial = folder.with_name(f"{key}.partial")
        emptied(partial)
        try:
            state = SavedState(key, request.id, utc_now(), facts)
            _fill(hypervisor, replace(request, saving=partial), state, partial, progress, timeline)
            partial.rename(folder)
        except HostTrouble as exc:
            if memory_refused(exc.message):
                told = f"no state can be saved, QEMU may not keep memory in a file ({memory_cure()}): {exc.message}"
                raise CannotSaveError(told) from exc
            raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return _found(key) or state


def _found(key: str) -> SavedState | None:
    """The state, None where there is none. Raises RestoreError for one that is not as it was saved."""
    try:
        return find(key)
    except UnreadError as exc:
        error = RestoreError(exc.message, by_state=False)
        error.add_seen([Fault("host", "", exc.message)])
        raise error from exc
    except HostTrouble as exc:
        raise RestoreError(exc.message) from exc


def _require_disk(folder: Path) -> None:
    try:
        require_space(folder.parent, NEEDED)
    except (LabTrouble, OSError) as exc:
        raise CannotSaveError(f"no state can be saved: {exc}") from exc


def _fill(
    hypervisor: Hypervisor,
    request: PairRequest,
    state: SavedState,
    partial: Path,
    progress: Progress,
    timeline: Timeline,
) -> None:
    with booted_pair(hypervisor, request, progress, timeline) as ready, timeline.span("save", lane="pair"):
        if ready.fast_clock:  # all that are restored from it would have it too (docs/decisions.md)
            raise CannotSaveError(f"no state can be saved: {ready.fast_clock}, {ATTEMPTS} times over")
        if why := fell_short(ready):
            raise CannotSaveError(f"no state can be saved: {why}")
        line = ready.tested.check(list(checkpoint_argv("saved", pages=False)))
        if troubles := ready.troubles():
            raise CannotSaveError(f"no state can be saved: {troubles[0].kind}: {troubles[0].detail}")
        ready.hang_up()
        progress("saving")
        try:
            ready.pair.save()
            shutil.copytree(request.captures, partial / "captures", ignore=NOT_KEPT)
            (partial / SAMPLE).write_bytes(line)
            seal(partial, state)
        except (HostTrouble, OSError) as exc:
            raise CannotSaveError(f"the pair cannot be saved: {exc}") from exc
    shutil.rmtree(request.captures)  # those who restore it bring them back


def fell_short(ready: ReadyPair) -> str:
    """Why a preflight of this pair speaks against saving it, "" where none does: every run that is restored from the
    state would have nothing to measure. On a NIC that is expected to fall short that is as it should be."""
    request = ready.pair.request
    traffic, nic = request.traffic, request.nic
    if traffic is None or not traffic.preflight.possible(nic, request.kernel.release):
        return ""
    reached, floor = preflight_reached(ready)
    return "" if reached >= floor else f"its preflight came to {reached:.0%}, the floor of {nic.name} is {floor:.0%}"


# -- restoring -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def restored(
    hypervisor: Hypervisor, request: PairRequest, state: SavedState, progress: Progress, timeline: Timeline
) -> Iterator[ReadyPair]:
    """A healthy pair from a state. Raises RestoreError while it is being made, and nothing of its own after that."""
    with contextlib.ExitStack() as stack:
        try:
            with timeline.span("restore", lane="pair"):
                _bring_captures(state, request.captures)
                progress("restoring")  # who ends it from now on finds how its guests booted
                wanted = replace(request, saved=state.folder, born=state.born)
                ready = _connected(stack, hypervisor, wanted, timeline)
            progress("health check")
            with timeline.span("health", lane="pair"):
                check_health(ready, state)
                state.touch()
        except (LabTrouble, OSError) as exc:
            error = RestoreError(str(exc), by_state=isinstance(exc, RestoreError | RefusedError))
            error.add_seen(exc.seen if isinstance(exc, LabTrouble) else _of_host(exc))
            raise error from exc
        ready.warm = state.key
        yield ready


def _of_host(exc: OSError) -> tuple[Fault, ...]:
    """What the host lacks says nothing of the state; a file of it that cannot be read does."""
    return (Fault("host", "", str(exc)),) if of_host(exc) else ()


def _connected(
    stack: contextlib.ExitStack, hypervisor: Hypervisor, request: PairRequest, timeline: Timeline
) -> ReadyPair:
    """Each guest is logged in to as soon as it is awake; `stack` ends all. Raises LabTrouble."""
    changed = threading.Condition()
    lines = stack.enter_context(contextlib.ExitStack())
    shells: dict[Role, GuestShell] = {}

    def log_in(role: Role, guest: Guest) -> None:
        with timeline.span("connect", lane=role):
            line = connected(guest.plan.name, address_of(request, guest), guest.signals.hostkey, changed)
            shells[role] = lines.enter_context(line)

    pair = stack.enter_context(provisioned(hypervisor, request, log_in))
    return ReadyPair(pair, shells, changed)


def _bring_captures(state: SavedState, captures: Path) -> None:
    """How the guests booted is part of what they are: consoles go on where the saved ones ended."""
    shutil.copytree(state.captures, captures, dirs_exist_ok=True)
    shutil.copy(state.folder / RECORD, captures)


def check_health(ready: ReadyPair, state: SavedState) -> None:
    """The link carries, and memory and cgroups of the guest under test are as they were saved. Raises LabTrouble.

    That both guests take a login was seen before. Its telemetry goes on by itself: no command is needed.
    """
    request, tested = ready.pair.request, ready.pair.tested
    saved = _samples((state.folder / SAMPLE).read_bytes())
    if not saved:
        raise RestoreError(f"{state.folder / SAMPLE} cannot be read")
    if request.nic.link != "none":
        ready.pair.sender.echo(ready.pair.addresses["receiver"].v4, request.limits.answer)

    def told() -> tuple[Sample | None, object]:
        samples = parse_telemetry(b"\n".join([*last_lines(tested.telemetry, 1), b""])).samples
        return (samples[-1] if samples else None), "no sample"

    now = wait_until(told, deadline=Deadline.after(f"the {tested.role}'s telemetry", request.limits.answer), pause=POLL)
    if problems := changes(saved[0], now, request.tested):
        raise RestoreError("; ".join(problems))


def _samples(line: bytes) -> tuple[Sample, ...]:
    return parse_checkpoints(line).samples


def changes(saved: Sample, now: Sample, role: Role = "receiver") -> list[str]:
    """What a restored guest has that the saved one had not, or lacks. Pure."""
    found = []
    drift = unexplained(now) - unexplained(saved)
    if abs(drift) > DRIFT:
        found.append(f"unexplained memory of the {role} differs by {drift // MIB} MiB from when it was saved")
    if now.cgroups.keys() != saved.cgroups.keys():
        found.append(f"cgroups of the {role}: {', '.join(sorted(now.cgroups)) or 'none'}")
    if now.t < saved.t:
        found.append(f"the {role}'s clock went back")
    if now.meminfo["MemTotal"] != saved.meminfo["MemTotal"]:
        found.append(f"the {role} has other memory")
    return found
