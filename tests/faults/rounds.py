# SPDX-License-Identifier: GPL-2.0-only
"""One round: a session and a fault out of the seed, played, and held against the oracles."""

from __future__ import annotations

import contextlib
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from lab.errors import DeadlinePassed
from lab.units import MIB, Deadline, wait_until
from tests.faults import oracles
from tests.faults.effects import Effect, NotPossibleError
from tests.faults.files import small_disk
from tests.faults.hosts import little_memory
from tests.faults.processes import end_all
from tests.faults.sessions import Live, Scenario, choose, start
from tests.faults.table import TABLE, Kind, draw
from tests.faults.world import World, new_world

SHORT = timedelta(seconds=15)
PATIENCE, AGAIN = timedelta(seconds=60), timedelta(seconds=0.1)
KEPT_AT_MOST = 32 * MIB
NEVER = Effect("", float("inf"), float("inf"), harmless=True)


@dataclass(frozen=True)
class Token:
    """What a round is played again by."""

    seed: int
    number: int
    kind: str

    def __str__(self) -> str:
        return f"{self.seed}:{self.number}:{self.kind}"

    def rng(self) -> random.Random:
        return random.Random(f"{self.seed}:{self.number}")

    def scenario(self) -> Scenario:
        """The session; the same for the same token."""
        return choose(self.rng(), TABLE[self.kind].commands)


def token_of(seed: int, number: int, only: Sequence[str], *, root: bool) -> Token:
    """The kind has dice of its own: that others are left out changes nothing else of a round."""
    return Token(seed, number, draw(random.Random(f"{seed}:{number}:kind"), only, root=root).name)


@dataclass
class Outcome:
    """What became of a round. `done` says what the fault did, "" when it could not be done."""

    token: Token
    scenario: Scenario
    done: str = ""
    note: str = ""
    words: tuple[str, ...] = ()
    code: int | None = None
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        fault = self.done or f"not done: {self.note}"
        moment = f"{self.scenario.lines} lines + {self.scenario.delay:g} s"
        head = f"{self.token}  {self.scenario}  [{fault}; {moment}]  {' '.join(self.words) or 'no run'}"
        tail = "".join(f"\n    BROKEN {what}" for what in self.broken) or "  OK"
        return f"{head}  exit {self.code}  {self.seconds:.0f} s{tail}"


def play(token: Token, base: Path, *, check: bool, keep: Path) -> Outcome:
    """Play a round in folders of its own. What it leaves is ended and removed; a broken round's results go to `keep`.

    check  play a healthy session after it, whatever came out
    """
    kind, began = TABLE[token.kind], time.monotonic()
    outcome = Outcome(token, token.scenario())
    world = new_world(base)
    try:
        with contextlib.ExitStack() as stack:
            if kind.disk is not None:
                stack.enter_context(
                    small_disk(world.root / {"results": "r"}.get(kind.disk[0], kind.disk[0]), kind.disk[1])
                )
            _faulty(outcome, kind, world)
            if outcome.broken:
                _keep(world, keep / str(token))
        if outcome.broken or check or kind.before:
            _healthy(outcome, world, keep / f"{token}.next")
    finally:
        end_all(world)
        shutil.rmtree(world.root, ignore_errors=True)
    outcome.seconds = time.monotonic() - began
    return outcome


def _faulty(outcome: Outcome, kind: Kind, world: World) -> None:
    """The session with the fault, and all oracles."""
    rng = random.Random(f"{outcome.token.seed}:{outcome.token.number}:fault")
    with _started(outcome, kind, world, rng) as (live, before):
        if live is None:
            return
        fault = before or _injected(outcome, kind, live, rng)
        outcome.code = live.end_or_kill()
        codes = [other.wait(300) for other in live.stray]
        outcome.broken += [f"the session beside it: exit status {code}" for code in codes if code]
        after_kill = oracles.GRACE if outcome.done and kind.ends else SHORT
        outcome.broken += oracles.left_behind(world, after_kill)
        end_all(world)
    ran, trouble = oracles.judged(world)
    outcome.words = tuple(f"{run.path.name.partition('.')[0]}={run.word}" for run in ran)
    outcome.broken += trouble if not (kind.loses and outcome.done) else []
    outcome.broken += oracles.cache_leftovers(world, spilt=kind.spills)
    outcome.broken += oracles.words(ran, kind, fault)
    outcome.broken += oracles.judged_alike(ran, oracles.told_words(live))
    outcome.broken += oracles.kept(live, ran) if not (kind.loses and outcome.done) else []
    outcome.broken += oracles.status(live, outcome.code, _first(live, ran), kind)
    outcome.broken += oracles.host_is_spared(live)


def _first(live: Live, ran: list[oracles.Ran]) -> list[oracles.Ran]:
    """Without those of a second session in the same folders."""
    told = set(oracles.told_words(live))
    return [run for run in ran if run.path.name in told] if live.stray else ran


@contextlib.contextmanager
def _started(
    outcome: Outcome, kind: Kind, world: World, rng: random.Random
) -> Iterator[tuple[Live | None, Effect | None]]:
    """The session, begun with what shall be wrong from its start; None when that cannot be had."""
    with contextlib.ExitStack() as stack:
        before: Effect | None = None
        try:
            prefix = kind.prefix(rng) if kind.prefix else []
            if kind.memory:
                name, mib = f"lab-faults-{world.mark}", rng.randint(*kind.memory)
                prefix = stack.enter_context(little_memory(name, mib))
                outcome.done = f"{mib} MiB of memory"
            if kind.before:
                before = kind.before(world, rng)
                outcome.done = before.what
        except NotPossibleError as exc:
            outcome.note = str(exc)
            yield None, None
            return
        if kind.prefix:
            outcome.done = " ".join(prefix)
        yield start(outcome.scenario, world, prefix), before


def _injected(outcome: Outcome, kind: Kind, live: Live, rng: random.Random) -> Effect:
    """The fault at its moment, or as soon after that as it can be done, if there is such a moment."""
    outcome.note = "the session ended before"
    if outcome.done or not live.reach():
        return NEVER

    def tried() -> tuple[Effect | None, object]:
        if live.process.poll() is not None:
            return NEVER, ""
        try:
            return kind.inject(live, rng), ""
        except (NotPossibleError, OSError) as exc:
            outcome.note = str(exc)
            return None, exc

    try:
        fault = wait_until(tried, deadline=Deadline.after(f"a moment for {kind.name}", PATIENCE), pause=AGAIN)
    except DeadlinePassed:
        return NEVER
    outcome.done = fault.what
    return fault


def _healthy(outcome: Outcome, world: World, keep: Path) -> None:
    """The next session works, in the same cache and folders, and leaves nothing."""
    world.renew()
    broken, _ = healthy(world)
    if broken:
        _keep(world, keep)
    outcome.broken += [f"next session: {what}" for what in broken]


def healthy(world: World, nic: str = "loopback") -> tuple[list[str], list[oracles.Ran]]:
    """A session without a fault: what is wrong with it."""
    live = start(Scenario("run", nic, ("release",)), world)
    code = live.end_or_kill()
    broken = oracles.left_behind(world, SHORT)
    ran, trouble = oracles.judged(world)
    broken += trouble + oracles.cache_leftovers(world, spilt=False)
    if code != 0 or [run.word for run in ran] != ["PASS"]:
        why = [i["detail"][:200] for run in ran for i in run.manifest["incidents"]]
        said = live.logs[1].read_text(errors="replace").strip()[-300:]
        broken.append(f"exit status {code}, {[run.word for run in ran]}: {why or said}")
    return broken, ran


def _large(folder: str, names: list[str]) -> list[str]:
    """What was filled or flooded says nothing that its size does not."""
    sizes = {name: Path(folder, name).lstat().st_size for name in names}
    return [name for name, size in sizes.items() if size > KEPT_AT_MOST]


def _keep(world: World, folder: Path) -> None:
    """What a person wants to see of a broken round."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with contextlib.suppress(shutil.Error):
        shutil.copytree(world.results, folder / "results", ignore=_large, symlinks=True)
    for name in ("stdout", "stderr"):
        if (world.root / name).is_file():
            shutil.copy(world.root / name, folder)
