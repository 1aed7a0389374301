# SPDX-License-Identifier: GPL-2.0-only
"""The red side of the rules that hold in every case: lab.verdict.rules_always, and the taint of lab.verdict.ground."""

from __future__ import annotations

from collections.abc import Callable

from lab.units import MIB, PAGE_SIZE
from tests.unit.verdict.builder import story
from tests.unit.verdict.machine import KERNELS, Kernel
from tests.unit.verdict.spoil import E, F, Red, every_sample, in_checkpoint, shift_memory, spoilt
from tests.unit.verdict.told import Story

PUT_HOOK = KERNELS["put-hook"]
ONE_IN_64 = 256
"""Pages of the 64 MiB that the abuser of `hold` maps at most."""


def deaf(guest: str, name: str) -> Callable[[Story], object]:
    """That guest's console lost the canary of a checkpoint."""

    def spoil(told: Story) -> None:
        lines = told.machine.console if guest == "receiver" else told.sender_console
        lines[:] = [line for line in lines if not line.endswith(f"lab-canary: c0ffee-{name}")]

    return spoil


def silent_capture(told: Story) -> None:
    """The serial capture of the receiver died before the guest said a word."""
    told.machine.console.clear()


def lines_lost(told: Story) -> None:
    told.checkpoint("after")["kmsg"]["shown"] += 3


def no_canary(told: Story) -> None:
    del told.checkpoint("after")["kmsg"]


def tainted(value: int) -> Callable[[Story], object]:
    return every_sample(lambda sample: sample.update(tainted=value))


def kept_after_kill() -> Story:
    """The OOM killer ends the abuser, its memory is free again, and its charge stays until the cgroup is removed."""
    told = story("hold", Kernel(at_limit="kill"))
    for sample in (*told.machine.telemetry, *told.checkpoints):
        group = sample["cg"].get("abuser")
        if group and group["events"]["oom_kill"]:
            group["current"] += 60 * MIB
            if "parent" in sample:
                sample["parent"]["current"] += 60 * MIB
    return told


def unbilled(told: Story) -> None:
    """One page in 64 is mapped and charged to nobody, by a kernel whose design charges every page."""
    told.manifest["kernel"]["design"] = "put-hook"
    told.checkpoint("held")["pages"]["mapped_uncharged"] += ONE_IN_64


def above(name: str, size: int) -> Callable[[Story], object]:
    return in_checkpoint(name, lambda line: line["parent"].update(current=line["parent"]["current"] + size))


def later_run(pages: int = 0, *, missing: int = 0, told_first: bool = True) -> Callable[[Story], object]:
    """The pair's fourth run; since the first so many pages have stayed charged, and so many bytes are gone."""

    def spoil(told: Story) -> None:
        told.manifest["pair"]["runs_before"] = 3
        first = {**told.checkpoint("baseline")}
        first["meminfo"] = {**first["meminfo"], "MemFree": first["meminfo"]["MemFree"] + missing}
        told.first = {**first, "parent": {**first["parent"]}} if told_first else {}
        for line in told.checkpoints:
            line["parent"]["current"] += pages * PAGE_SIZE

    return spoil


ALWAYS_REDS: tuple[Red, ...] = (
    Red("kernel-alive", "a warning nobody heard", F, spoilt("hold", tainted(1 << 9))),
    Red("kernel-alive", "an oops nobody heard", F, spoilt("hold", tainted(1 << 7))),
    Red("kernel-alive", "a machine check", E, spoilt("hold", tainted(1 << 4))),
    Red("kernel-alive", "a taint this lab does not know", E, spoilt("hold", tainted(1 << 40))),
    Red("heard", "receiver, at the beginning", E, spoilt("hold", deaf("receiver", "baseline"))),
    Red("heard", "receiver, at the end", E, spoilt("hold", deaf("receiver", "after"))),
    Red("heard", "sender, at the end", E, spoilt("hold", deaf("sender", "after"))),
    Red("heard", "an empty console", E, spoilt("hold", silent_capture)),
    Red("heard", "lines were lost", E, spoilt("hold", lines_lost)),
    Red("heard", "no canary was left", E, spoilt("hold", no_canary)),
    Red("heard", "nobody asked the sender", E, spoilt("hold", lambda told: told.sender_checkpoints.clear())),
    Red("heard", "no taint was told", E, spoilt("hold", every_sample(lambda sample: sample.pop("tainted")))),
    Red("balanced", "charged after it was killed", F, kept_after_kill),
    Red("balanced", "one page in 64 is free", F, spoilt("hold", unbilled)),
    Red("balanced", "only the leaf is charged", F, spoilt("hold", above("held", -8 * MIB))),
    Red("balanced", "the parent is charged alone", F, spoilt("hold", above("held", MIB))),
    Red("balanced", "memory stays away", F, spoilt("hold", in_checkpoint("end", lambda s: shift_memory(s, 9 * MIB)))),
    Red("balanced", "charge stays above", F, spoilt("hold", above("after", 85 * PAGE_SIZE))),
    Red("balanced", "nobody looked above", E, spoilt("hold", in_checkpoint("after", lambda s: s.pop("parent")))),
    Red("balanced", "pages stay charged run by run", F, spoilt("hold", later_run(85))),
    Red("balanced", "memory leaks run by run", F, spoilt("hold", later_run(missing=9 * MIB))),
    Red("balanced", "nobody told how it began", E, spoilt("hold", later_run(told_first=False))),
)
