# SPDX-License-Identifier: GPL-2.0-only
"""`python -m tests.kvm`: the lab under KVM, in a first-level guest of this host's QEMU. A line for each step."""

from __future__ import annotations

import argparse
import functools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from lab.cli.exits import AS_PREDICTED, INTERRUPTED, LAB_FAILED, OTHER_VERDICT
from lab.errors import LabError
from lab.guestimage.layer import all_layers
from lab.host.interrupt import end_in_order
from lab.host.paths import results_folder
from lab.text.terminal import say
from lab.text.words import one_line
from lab.units import MIB, Deadline, wait_until
from tests.kvm.image import FirstLevel, ensure_first_level
from tests.kvm.judge import Outcome, judge, read_lines
from tests.kvm.machine import QEMU_LOG, running, shares
from tests.kvm.steps import STEPS, Step, chosen

SLOWER = 40  # at most: seconds of this host for one of the first-level guest's, beside other work
BOOT_LIMIT = timedelta(minutes=15)
Fits = Callable[[dict[str, Any]], bool]
POLL = timedelta(seconds=0.5)
MOST = 4 * MIB  # that is read of any file of the guest


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 every step that decides did what it had to, 1 some did not, 3 no first level, 130 interrupted."""
    options = _parser().parse_args(arguments)
    end_in_order()
    began = time.monotonic()
    try:
        first = ensure_first_level(lambda text: say(text, err=True))
        all_layers(lambda text: say(text, err=True))  # a compiler takes minutes in there
        out = results_folder() / time.strftime("kvm-%Y%m%d-%H%M%S")
        outcomes = _play(first, out, chosen(options.only))
    except KeyboardInterrupt:
        say("interrupted", err=True)
        return INTERRUPTED
    except LabError as exc:
        say(exc, err=True)
        return LAB_FAILED
    say(f"\n{time.monotonic() - began:.0f} s of this host; what each step said, and its bundles: {out}")
    return OTHER_VERDICT if any(o.problem and o.decides for o in outcomes) else AS_PREDICTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.kvm", description=__doc__)
    parser.add_argument("--only", action="append", default=[], choices=[step.name for step in STEPS], help="repeatable")
    return parser


def _play(first: FirstLevel, out: Path, steps: tuple[Step, ...]) -> list[Outcome]:
    guest = out / "from-guest"
    guest.mkdir(parents=True)
    (guest / "steps").write_text("\n".join(step.name for step in steps))
    for folder, _ in shares().values():
        folder.mkdir(parents=True, exist_ok=True)
    with running(first, out) as qemu:
        up = _wait(qemu, out, "the first-level guest's boot", BOOT_LIMIT, lambda line: "release" in line)
        say(f"first level: Linux {one_line(str(up.get('release')))}, up after {up.get('up')} s of its own")
        return list(_told(qemu, out, steps))


def _told(qemu: subprocess.Popen[bytes], out: Path, steps: tuple[Step, ...]) -> Iterator[Outcome]:
    """Each step's outcome, told as soon as it is known."""
    for step in steps:
        _wait(qemu, out, f"step {step.name}", timedelta(seconds=step.limit * SLOWER), functools.partial(_ends, step))
        outcome = judge(step, _lines(out), _runs(out, step), _read(out / "from-guest" / f"{step.name}.log"))
        say(outcome)
        yield outcome


def _ends(step: Step, line: dict[str, Any]) -> bool:
    return line.get("ended") == step.name


def _wait(qemu: subprocess.Popen[bytes], out: Path, name: str, limit: timedelta, fits: Fits) -> dict[str, Any]:
    """The first line of the steps that fits. Raises DeadlinePassed, and LabError when QEMU is gone."""

    def look() -> tuple[dict[str, Any] | None, str]:
        gone = qemu.poll() is not None
        found = next((line for line in _lines(out) if fits(line)), None)
        console = _read(out / "console").splitlines()
        seen = one_line(console[-1]) if console else "nothing on its console"
        if gone and found is None:
            said = one_line(_read(out / QEMU_LOG)[-500:])
            raise LabError(
                f"QEMU ended while waiting for {name}; last saw: {seen}; QEMU said: {said}", hint=f"see {out}"
            )
        return found, seen

    return wait_until(look, deadline=Deadline.after(name, limit), pause=POLL)


def _lines(out: Path) -> list[dict[str, Any]]:
    return read_lines(_read(out / "from-guest" / "steps.jsonl"))


def _runs(out: Path, step: Step) -> list[dict[str, Any]]:
    """The records of a step's runs."""
    found = sorted((out / "from-guest" / "results" / step.name).glob("*/results.jsonl"))
    return [record for path in found for record in read_lines(_read(path))]


def _read(path: Path) -> str:
    """The end of a file of the guest's; "" when there is none yet."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - MOST))
            return file.read(MOST).decode(errors="replace")
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
