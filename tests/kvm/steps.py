# SPDX-License-Identifier: GPL-2.0-only
"""What is run in the first-level guest, in this order, and how long each may take there."""

from __future__ import annotations

from dataclasses import dataclass

KERNEL = "6.12"


@dataclass(frozen=True)
class Step:
    """One command.

    limit    seconds of the first-level guest's own clock
    runs     how many verdicts it has to bring, each as predicted and under KVM
    cannot   why the emulator cannot do it; "" where it can. Such a step is shown, and decides nothing
    """

    name: str
    argv: tuple[str, ...]
    limit: int
    user: str = "root"
    runs: int = 0
    cannot: str = ""


def _lab(*words: str) -> tuple[str, ...]:
    return ("/opt/lab/bin/python3", "-P", "-m", "lab.cli", *words)


def _run(*words: str) -> tuple[str, ...]:
    return _lab("run", *words, "--kernel", KERNEL, "-n", "1", "--accel", "auto")


HUNG = "tried once: no verdict in 250 s of the first level's clock, and it is not known why"

STEPS = (
    Step("doctor", _lab("doctor"), 300),
    Step("cold", _run("fast", "--cold", "--timing"), 900, runs=4),
    Step("saved", _run("bytes-equal", "--nic", "loopback", "--timing"), 600, runs=1),
    Step("restored", _run("fast", "--timing"), 900, runs=4),
    Step("pair-cold", _run("hold", "bytes-equal", "--nic", "virtio", "--cold", "--timing"), 900, runs=2),
    Step("pair-restored", _run("hold", "bytes-equal", "--nic", "virtio", "--timing"), 300, runs=2, cannot=HUNG),
    Step("user", _run("fast", "--timing"), 900, user="somebody", runs=4),
)
"""`saved` leaves the state that `restored` begins with, `pair-restored` makes its own; `user` is in group kvm, and has
a cache of its own."""


def chosen(names: list[str]) -> tuple[Step, ...]:
    """All of them, or those named, in the order of the table."""
    return tuple(step for step in STEPS if not names or step.name in names)
