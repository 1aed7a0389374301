# SPDX-License-Identifier: GPL-2.0-only
"""`python -m bench NAME [--repeats N]`: measures, prints, and leaves a record and a picture."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.harness import record, rounds_before
from bench.machine import context
from bench.picture import draw
from bench.registry import BENCHES, Asked, chosen
from lab.cli.exits import AS_PREDICTED, BAD_INPUT, LAB_FAILED, OTHER_VERDICT, told
from lab.cli.guests import REPLACED
from lab.cli.progress import shown
from lab.errors import BadInput, LabError
from lab.host.interrupt import end_in_order

RESULTS = Path(__file__).resolve().parent / "results"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 measured, 1 a promise was not kept, 2 bad input, 3 the lab failed."""
    options = _parser().parse_args(argv)
    try:
        if options.repeats is not None and options.repeats < 1:
            raise BadInput(["--repeats takes a positive number"])
        if options.runs < 1:
            raise BadInput(["--runs takes a positive number"])
        names = chosen(options.name)
        end_in_order()
        _under_a_reaper()
        return max([_run(name, options) for name in names], default=AS_PREDICTED)
    except LabError as exc:
        print(told(exc).replace("lab:", "bench:", 1), file=sys.stderr)
        return BAD_INPUT if isinstance(exc, BadInput) else LAB_FAILED
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    told = "\n".join(f"  {name:20} {entry.sentence}" for name, entry in BENCHES.items())
    parser = argparse.ArgumentParser(
        "python -m bench", description=__doc__, epilog=told, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", metavar="NAME", help=f"all, {', '.join(BENCHES)}")
    parser.add_argument("--repeats", type=int, metavar="N", help="rounds that count; each has its own number")
    parser.add_argument("--runs", type=int, default=200, metavar="N", help="soak only: runs in a row")
    parser.add_argument("--more", action="store_true", help="add to the rounds that the record has already")
    parser.add_argument("-k", "--kernel", action="append", default=[], help="instead of the bench's own; repeatable")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="default: bench/results")
    return parser


def _under_a_reaper() -> None:
    """Start anew, once, under a child subreaper where there is one: see lab.cli.guests.replace_process."""
    reaper = shutil.which("tini")
    if reaper is None or os.environ.get(REPLACED):
        return
    sys.stdout.flush()
    argv = [reaper, "-s", "--", sys.executable, "-m", "bench", *sys.argv[1:]]
    os.execvpe(reaper, argv, {**os.environ, REPLACED: "1"})  # noqa: S606 - no shell is wanted


def _run(name: str, options: argparse.Namespace) -> int:
    entry = BENCHES[name]
    target: Path = options.out / f"{name}.json"
    with shown() as progress:
        asked = Asked(options.repeats or entry.repeats, progress, options.out, tuple(options.kernel), options.runs)
        outcome = entry.load()(asked)
    about = context(shlex.join(["python", "-m", "bench", *sys.argv[1:]]))
    if options.more and target.is_file():
        new = record(name, outcome, about)
        before = rounds_before(json.loads(target.read_text()), new, entry.same)
        outcome = replace(outcome, rounds=[*before, *outcome.rounds])
    keep(record(name, outcome, about), target)
    return OTHER_VERDICT if outcome.problems else AS_PREDICTED


def keep(told: Mapping[str, Any], target: Path) -> None:
    """Write record and picture, and print what a reader wants first."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(told, indent=1) + "\n")
    target.with_suffix(".svg").write_bytes(draw(told))
    print("\n".join(summary(told)))
    print(f"{target}, {target.with_suffix('.svg')}")


def summary(told: Mapping[str, Any]) -> list[str]:
    """One line for each figure, with its spread, and one for each problem."""
    lines = [str(told["title"])]
    for key in (key.removesuffix("_spread") for key in told if key.endswith("_spread")):
        spread = told[f"{key}_spread"]
        between = f"  ({spread[0]:.3g} to {spread[1]:.3g})" if spread else ""
        lines.append(f"  {key:40} {told[key]:.3g}{between}  n = {told[f'{key}_n']}")
    return [*lines, *(f"  NOT KEPT: {problem}" for problem in told["problems"])]


if __name__ == "__main__":
    sys.exit(main())
