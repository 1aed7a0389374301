# SPDX-License-Identifier: GPL-2.0-only
"""`python -m tests.faults`: rounds until a number or a time is reached; a line for each, a table, and exit status 1
when anything was broken."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from lab.cli.exits import BAD_INPUT, INTERRUPTED, LAB_FAILED
from lab.host.interrupt import end_in_order
from lab.host.paths import cache_root, project_root
from tests.faults.processes import end_all
from tests.faults.rounds import Outcome, Token, healthy, play, token_of
from tests.faults.summary import markdown, never_done
from tests.faults.table import TABLE
from tests.faults.turns import Turn
from tests.faults.world import World, new_world

OWN_MOUNTS = "LAB_FAULTS_OWN_MOUNTS"
"""Set in a process whose mounts nobody else sees: they go with it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 nothing broken, 1 something, or a kind that was never done, 2 bad input, 3 the lab does not work
    here, 130 interrupted.
    """
    options = _parser().parse_args(argv)
    if options.list:
        print("\n".join(TABLE))
        return 0
    _mounts_of_our_own()
    end_in_order()
    try:
        with _campaign() as base:
            return _play_all(options, base)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.faults", description=__doc__)
    parser.add_argument("--rounds", type=_positive, metavar="N", help="stop after so many")
    parser.add_argument("--minutes", type=float, metavar="M", help="begin no round after so many")
    parser.add_argument("--seed", default="", help="a number, or `commit` for that of HEAD; default: any")
    parser.add_argument("--only", action="append", default=[], choices=TABLE, metavar="KIND", help="repeatable")
    parser.add_argument("--each", action="store_true", help="every kind in turn instead of by weight")
    parser.add_argument("--replay", type=_token, metavar="SEED:ROUND[:KIND]", help="play that round again")
    parser.add_argument(
        "--healthy-every", type=_positive, default=5, metavar="K", help="prove that the lab still works"
    )
    parser.add_argument("--keep", type=Path, default=Path("results/faults"), help="where broken rounds stay")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write the table there as well")
    parser.add_argument("--lock", type=Path, metavar="FILE", help="hold that lock in turns of some minutes")
    parser.add_argument("--list", action="store_true", help="the kinds there are")
    return parser


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
    return int(text)


def _token(text: str) -> Token:
    seed, _, rest = text.partition(":")
    number, _, kind = rest.partition(":")
    if not seed.isdigit() or not number.isdigit() or (kind and kind not in TABLE):
        raise argparse.ArgumentTypeError(f"{text!r} is not SEED:ROUND or SEED:ROUND:KIND as a campaign prints them")
    return Token(int(seed), int(number), kind) if kind else token_of(int(seed), int(number), (), root=_root())


def _root() -> bool:
    return os.geteuid() == 0


def seed_of(text: str) -> int:
    """A number; that of the commit, so that each commit has its own and CI can be repeated; or any."""
    if text == "commit":
        git = ["git", "-C", str(project_root()), "rev-parse", "--short=8", "HEAD"]
        head = subprocess.run(git, capture_output=True, check=False).stdout.decode().strip()
        return int(head[:8], 16) if head else 1
    if text and not text.isdigit():
        print(f"--seed {text!r} is neither a number nor `commit`", file=sys.stderr)
        raise SystemExit(BAD_INPUT)
    return int(text) if text else secrets.randbelow(10**6)


def _mounts_of_our_own() -> None:
    """Small disks are mounted where nobody else sees them, and go with us, whatever becomes of us."""
    if _root() and not os.environ.get(OWN_MOUNTS):
        argv = ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", "tests.faults", *sys.argv[1:]]
        os.execvpe(argv[0], argv, {**os.environ, OWN_MOUNTS: "1"})  # noqa: S606 - an argv list of ours


@contextlib.contextmanager
def _campaign() -> Iterator[World]:
    """A copy of the cache for all rounds: states that are made for one round serve the next."""
    world = new_world(cache_root())
    try:
        yield world
    finally:
        end_all(world)
        shutil.rmtree(world.root, ignore_errors=True)


def _play_all(options: argparse.Namespace, base: World) -> int:
    seed, began, warmed = seed_of(options.seed), time.monotonic(), set[str]()
    outcomes: list[Outcome] = []
    turn = Turn(options.lock)
    print(f"seed {options.replay.seed if options.replay else seed}", flush=True)
    try:
        for number in range(options.rounds or sys.maxsize):
            late = options.minutes is not None and time.monotonic() - began > options.minutes * 60
            if late or (options.replay and number) or (not options.rounds and options.minutes is None and number >= 10):
                break
            token = options.replay or token_of(seed, number, _allowed(options, number), root=_root())
            with turn.round():
                _warm(token, base, warmed)
                check = number % options.healthy_every == options.healthy_every - 1
                outcomes.append(play(token, base.cache, check=check, keep=options.keep))
            print(outcomes[-1], flush=True)
    finally:
        turn.release()
        table = markdown(outcomes, time.monotonic() - began)
        print(table, flush=True)
        if options.summary:
            options.summary.write_text(table)
    return 1 if any(outcome.broken for outcome in outcomes) or never_done(outcomes) else 0


def _allowed(options: argparse.Namespace, number: int) -> Sequence[str]:
    """Kinds to draw a round's from."""
    kinds: list[str] = options.only or [name for name, kind in TABLE.items() if _root() or not kind.needs_root]
    return kinds[number % len(kinds) :][:1] if options.each else kinds


def _warm(token: Token, base: World, warmed: set[str]) -> None:
    """Have a saved state of the round's NIC profile, where its session wants one: a boot takes most of a round."""
    nic = token.scenario().nic
    if nic in warmed or token.scenario().cold:
        return
    broken, _ = healthy(base, nic)
    base.renew()
    if broken:
        print(f"the lab does not work here without a fault, on {nic}: {'; '.join(broken)}", file=sys.stderr)
        raise SystemExit(LAB_FAILED)
    warmed.add(nic)


if __name__ == "__main__":
    sys.exit(main())
