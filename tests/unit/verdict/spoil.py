# SPDX-License-Identifier: GPL-2.0-only
"""Ways to spoil a good run, and what a red row of a rule is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.units import MIB, PAGE_SIZE
from lab.verdict.model import Word
from tests.unit.verdict.builder import story
from tests.unit.verdict.machine import KERNELS, Json, Kernel
from tests.unit.verdict.told import Story


@dataclass(frozen=True)
class Red:
    """`make` tells the spoilt run; `rule` must be the one that objects, with `word`."""

    rule: str
    name: str
    word: Word
    make: Callable[[], Story]

    def __str__(self) -> str:
        return f"{self.rule}: {self.name}"


def spoilt(
    case: str, spoil: Callable[[Story], object], kernel: Kernel = KERNELS["put-hook"], nic: str = ""
) -> Callable[[], Story]:
    """A run where the case is at home, or on that NIC, with one thing spoilt."""

    def make() -> Story:
        told = story(case, kernel, nic=nic)
        spoil(told)
        return told

    return make


def console(text: str, guest: str = "receiver") -> Callable[[Story], object]:
    def spoil(told: Story) -> None:
        lines = told.machine.console if guest == "receiver" else told.sender_console
        lines.append(f"[  101.000000] {text}")

    return spoil


def client(name: str, event: str, **fields: object) -> Callable[[Story], object]:
    return lambda told: told.event(name, event).update(fields)


def record(name: str, **fields: object) -> Callable[[Story], object]:
    return lambda told: told.record(name).update(fields)


def manifest(**fields: object) -> Callable[[Story], object]:
    return lambda told: told.manifest.update(fields)


def driven(share: float) -> Callable[[Story], object]:
    """The host's clock saw the run last that share of what the guests' clocks say."""

    def spoil(told: Story) -> None:
        told.manifest["seconds"]["drive"] *= share

    return spoil


def sender_runs(times: float) -> Callable[[Story], object]:
    def spoil(told: Story) -> None:
        for line in (*told.sender_telemetry, *(event for log in told.senders.values() for event in log)):
            line["t"] *= times

    return spoil


def every_sample(change: Callable[[Json], object]) -> Callable[[Story], object]:
    def spoil(told: Story) -> None:
        for sample in (*told.machine.telemetry, *told.checkpoints):
            change(sample)

    return spoil


def in_checkpoint(name: str, change: Callable[[Json], object]) -> Callable[[Story], object]:
    return lambda told: change(told.checkpoint(name))


def shift_memory(sample: Json, size: int) -> None:
    sample["meminfo"]["MemFree"] -= size


def gave_up() -> Story:
    """A kernel that charges nothing, and a client that ran out of address space at 48 MiB."""
    told = story("hold", Kernel(mapped=False), deliver=48 * MIB)
    told.event("abuser", "holding").update(reason="error", errno=12, call="mmap")
    told.record("abuser").update(deliver=256 * MIB)
    return told


def ring_refuses() -> Story:
    """The kernel takes no mapped page as a buffer of an io_uring; what was mapped for it stays mapped."""
    told = story("pin-uring", KERNELS["put-hook"], deliver=8 * MIB)
    for line in told.clients["abuser"]:
        if line.get("pinned"):
            line.update(mapped_now=line["pinned"], pinned=0)
    told.event("abuser", "holding").update(reason="error", errno=14, call="IORING_REGISTER_BUFFERS_UPDATE")
    told.record("abuser").update(deliver=256 * MIB)
    return told


def ring_gave_up() -> Story:
    told = ring_refuses()
    told.event("abuser", "holding").update(errno=28)
    return told


def nothing_left_behind(told: Story) -> None:
    for sample in (*told.machine.telemetry, *told.checkpoints):
        if "abuser" in sample["cg"]:
            sample["cg"]["abuser"]["stat"]["sock"] = 64 * PAGE_SIZE


def leak_after_release(told: Story) -> None:
    for name in ("released", "end"):
        shift_memory(told.checkpoint(name), 20 * MIB)


def leak_after_death(told: Story) -> None:
    for name in ("dead", "end"):
        shift_memory(told.checkpoint(name), 20 * MIB)


def without_usage(told: Story) -> None:
    """The report of an OOM kill lacks what its cgroup was charged for."""
    told.machine.console[:] = [line for line in told.machine.console if "memory: usage" not in line]


def fewer(told: Story, start: float, end: float) -> None:
    told.machine.telemetry[:] = [s for s in told.machine.telemetry if not start < s["t"] < end]


def claim(told: Story, factor: float) -> None:
    """The client says it holds so many times what it does."""
    for line in told.clients["abuser"]:
        if "held" in line:
            line["held"] = round(line["held"] * factor)


def mapped(told: Story, share: float) -> None:
    for line in told.clients["abuser"]:
        if "mapped" in line:
            line["mapped"] = round(line["mapped"] * share)


def beside(spoil: Callable[[Story], object]) -> Callable[[Story], object]:
    """The same, but on the reference's side."""

    def spoil_reference(told: Story) -> None:
        assert told.reference is not None
        spoil(told.reference)

    return spoil_reference


def no_reference(told: Story) -> None:
    told.reference = None
    told.manifest["reference"] = ""


def unmapped(told: Story) -> None:
    for lines in told.clients.values():
        for line in lines:
            line.update({"mapped": 0} if "mapped" in line else {})


def less_mapped(told: Story) -> None:
    """Above the floor, yet a tenth less than on the reference."""
    for lines in told.clients.values():
        for line in lines:
            line.update({"mapped": round(0.9 * line["mapped"])} if "mapped" in line else {})


def slow_clock(told: Story) -> None:
    """As many counts as turns, but taken at other times."""
    for line in told.counts:
        line["t"] = round(4 * line["t"], 6)


def noisy(told: Story) -> None:
    """Every other turn needs a third more instructions."""
    extra = 0
    for n, line in enumerate(told.counts):
        extra += 20_000_000 if n % 4 == 1 else 0
        line["instructions"] += extra


def innocent_slows(told: Story) -> None:
    """Its bytes stop coming when the abuser has taken what it can."""
    most = max(e["t"] for e in told.clients["abuser"] if e["event"] in ("progress", "holding"))
    stuck = max(e["delivered"] for e in told.clients["innocent"] if "delivered" in e and e["t"] <= most)
    for line in told.clients["innocent"]:
        if line.get("delivered", 0) > stuck:
            line["delivered"] = stuck


def kill_line(told: Story, who: str, *, memcg: str | None) -> None:
    """One more kill, on the console and in the kernel's counter."""
    t = told.machine.telemetry[-2]["t"]
    where = f"CONSTRAINT_MEMCG,oom_memcg={memcg}" if memcg else "CONSTRAINT_NONE,global_oom"
    head = "Memory cgroup out" if memcg else "Out"
    told.machine.console.append(f"[{t:12.6f}] oom-kill:constraint={where},task_memcg={who},task=x,pid=9,uid=0")
    told.machine.console.append(f"[{t:12.6f}] {head} of memory: Killed process 9 (x) total-vm:1kB")
    told.machine.telemetry[-1]["vmstat"]["oom_kill"] += 1


def truncate_client(told: Story) -> None:
    files = told.files()
    told.tampered["clients/abuser.jsonl"] = files["clients/abuser.jsonl"][:-20]


def charge_at(told: Story, name: str, extra: int) -> None:
    """The charge of a cgroup at a checkpoint and in the samples after it."""
    t = told.checkpoint(name)["t"]
    for sample in (*told.machine.telemetry, *told.checkpoints):
        if sample["t"] >= t and "abuser" in sample["cg"]:
            group = sample["cg"]["abuser"]
            group["current"] += extra
            group["peak"] = max(group["peak"], group["current"])


def far_from_limit(told: Story) -> None:
    """A quarter of its limit is held, and the kernel refuses all the same."""
    told.record("abuser").update(limit=256 * MIB)
    for sample in (*told.machine.telemetry, *told.checkpoints):
        sample["cg"].get("abuser", {}).update(max=256 * MIB)


def peak_over(told: Story) -> None:
    for sample in (*told.machine.telemetry, *told.checkpoints):
        if "abuser" in sample["cg"]:
            sample["cg"]["abuser"]["peak"] += 80 * MIB


def not_counted_when_lowered(told: Story) -> None:
    told.checkpoints.remove(told.checkpoint("lowered"))


def lowered_too_late(told: Story) -> None:
    """The client had ended by then."""
    end = told.event("abuser", "holding")["t"]
    for sample in told.machine.telemetry:
        if "abuser" in sample["cg"] and sample["t"] <= end + 0.1:
            sample["cg"]["abuser"]["max"] = 64 * MIB


def limit_rises(told: Story) -> None:
    inside = [s["cg"]["abuser"] for s in told.machine.telemetry if s["cg"].get("abuser", {}).get("procs")]
    inside[-1]["max"] = 64 * MIB


def counted_too_early(told: Story) -> None:
    """While the pages are walked, 24 MiB come in besides those held, which TCP had not queued when the walk began."""
    told.checkpoint("held")["pages"]["plain"] += (told.event("abuser", "holding")["held"] + 24 * MIB) // PAGE_SIZE


F, E, M = Word.FAIL, Word.ERROR, Word.MISS
FREE = Kernel(anon=False)
NO_SOCK = Kernel(sock=False)
