# SPDX-License-Identifier: GPL-2.0-only
"""What an engine needs of the world: kernels are fetched or built, sessions conducted, the archive is asked."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from lab.campaign.bisect import commits, patches
from lab.campaign.bisect.ahead import Ahead
from lab.campaign.bisect.costs import FRESH, build_seconds
from lab.campaign.bisect.decide import QUICK, Means
from lab.campaign.bisect.engine import Told as Tells
from lab.campaign.bisect.engine import UnfitError, Wanted
from lab.campaign.bisect.model import REVERT, Search, Seen, Suspect, Told
from lab.campaign.bisect.sought import SPLAT, frames_of
from lab.collect.stored import read_file
from lab.errors import BadInput, CommandFailed, FetchFailed, LabError
from lab.evidence.bounds import OTHER
from lab.host.filecache import MOVE_CACHE
from lab.plan.order import PAIR_SECONDS
from lab.session.conduct import Conducts, Listener, conduct
from lab.text.words import one_line
from lab.units import MIB, Deadline, wait_until
from lab.verdict.model import Word

if TYPE_CHECKING:
    from lab.archive.index import Index
    from lab.archive.rows import RunRow
    from lab.contracts import BootableKernel
    from lab.kernels.catalogue import Kernel
    from lab.kernels.recipe import Recipe
    from lab.plan.matrix import Run
    from lab.plan.session import SessionPlan
    from lab.report.model import RunResult
    from lab.spec.request import SessionRequest

RUN_SECONDS = 20.0
AROUND = 10.0
"""Seconds of a session beside its pairs and runs, until some were measured."""
SOME = 3
FETCH_BYTES = 5 * MIB
"""A second."""
FEW, NEIGHBOUR = 200, 30.0
"""Suspects of which git is asked what differs; of more, each build is taken to last so many seconds."""
MOST_REMEMBERED = 20
TIDY = timedelta(seconds=120)
NOT_PROOF = frozenset({Word.PASS, Word.SKIP, Word.DONE})
"""Words of findings that speak against no run."""


@dataclass(frozen=True)
class Pace:
    """Of one session, seconds: its runs and pairs made ready, each at the median, and what it took beside them."""

    run: float
    pair: float
    around: float


@dataclass
class Conductor:
    """The laboratory of one search. `listener` is told of sessions as that of `lab run` is; `conduct` has them done."""

    search: Search
    listener: Listener
    conduct: Conducts = conduct
    _kernels: dict[str, BootableKernel] = field(default_factory=dict)
    _costs: dict[tuple[str, str], float] = field(default_factory=dict)
    _built_last: str = ""
    _ahead: Ahead = field(default_factory=Ahead)
    _names: dict[str, str] = field(default_factory=dict)
    _asked: dict[str, Kernel] = field(default_factory=dict)
    _pairs: int = 0
    _paces: list[Pace] = field(default_factory=list)

    @property
    def results(self) -> Path:
        return Path(self.search.asked.results)

    def make(self, suspect: Suspect) -> str:
        """Raises UnfitError for what does not build or cannot be fetched, LabTrouble for what is no kernel's fault."""
        from lab.guestimage.build import ensure_init
        from lab.kernels import recipes
        from lab.kernels.bootable import make_bootable
        from lab.kernels.recipe import Recipe

        progress = self.listener.progress
        try:
            kernel = self._kernel(suspect)
            if not _is_there(kernel):
                self._ahead.free(kernel.name, progress)
            made = make_bootable(kernel, init=ensure_init(progress), progress=progress)
        except BadInput as exc:
            raise UnfitError(f"it cannot be built: {one_line(exc.problems[0], 300)}") from exc
        except FetchFailed as exc:
            if exc.hint == MOVE_CACHE:
                raise
            raise UnfitError(f"it cannot be fetched: {one_line(exc.message, 300)}") from exc
        if isinstance(kernel, Recipe) and suspect.name != REVERT:
            recipes.remember(kernel)  # by this name its runs are repeated
        self._kernels[suspect.name] = made
        self._built_last = suspect.name
        return f"{made.sha256}+{made.initrd_sha256}"

    def ahead(self, suspects: Sequence[Suspect]) -> None:
        """One that cannot be made says so when it is needed. Raises OSError."""
        from lab.kernels import recipes
        from lab.kernels.recipe import Recipe

        wanted = {suspect.name: self._kernel(suspect) for suspect in suspects}
        self._asked |= wanted
        self._names = {kernel.name: name for name, kernel in wanted.items() if not _is_there(kernel)}
        for kernel in wanted.values():
            if isinstance(kernel, Recipe):
                recipes.remember(kernel)  # the other process knows it by its name
        self._ahead.want(tuple(self._names))
        self._go_on()

    def _go_on(self) -> None:
        """The next kernel, when the one before is over."""
        if begun := self._ahead.go_on():
            self._built_last = self._names[begun]
            self.listener.progress(f"making {begun} beside the runs")

    def run(self, wanted: Wanted, begun: Callable[[str, Mapping[str, str]], None], told: Tells) -> None:
        """One session. Raises KeyboardInterrupt when a signal ended it, LabTrouble."""
        search = self.search
        kernels = {self._called(suspect): suspect.name for suspect, _ in wanted} if len(wanted) > 1 else {}
        times = {suspect.name: number for suspect, number in wanted}
        request = replace(self._request([suspect for suspect, _ in wanted]), repeat=max(times.values()))
        since = time.monotonic()
        over: list[RunResult] = []

        def whose(kernel: str) -> str:
            return kernels[kernel] if kernels else wanted[0][0].name

        def planned(plan: SessionPlan) -> None:
            search.accelerator = plan.accelerator.removeprefix("auto")  # of other hosts, each proves its own
            begun(plan.name, kernels)
            self.listener.planned(plan)

        def verdict(plan: SessionPlan, number: int, result: RunResult) -> None:
            search.environment = search.environment or environment_of(result)
            over.append(result)
            told(whose(result.manifest.kernel.name), seen_of(result, plan.folder, plan.name))
            self.listener.verdict(plan, number, result)

        def doing(what: str) -> None:
            self._go_on()
            self.listener.doing(what)

        def only(run: Run) -> bool:
            return run.repeat < times[whose(run.kernel)]

        listener = replace(self.listener, planned=planned, doing=doing, verdict=verdict)
        done = self.conduct(request, self.results, listener, only=only)
        for run in done.plan.runs:
            if run.id not in done.results and not done.interrupted:
                lost = Seen(run.id, done.plan.name, Word.MISS.value, incidents=("lost",), why="it left no bundle")
                told(whose(run.kernel), lost)
        if done.interrupted:
            raise KeyboardInterrupt
        if over:
            self._paces.append(pace_of(over, time.monotonic() - since, done.plan.pairs))

    def _request(self, suspects: Sequence[Suspect]) -> SessionRequest:
        from lab.spec.request import SessionRequest

        asked = self.search.asked
        return SessionRequest(
            names=(asked.case,),
            kernels=tuple(suspect.kernel for suspect in suspects),
            nics=(asked.nic,),
            repeat=1,
            pairs=asked.pairs,
            family=asked.family,
            accelerator=self.search.accelerator or "auto",
            command=asked.command,
        )

    def _called(self, suspect: Suspect) -> str:
        """What its kernel is called in a session."""
        from lab.kernels.catalogue import resolve

        (kernel,) = resolve((suspect.kernel,))
        return kernel.name

    def left_by(self, session: str) -> Sequence[tuple[str, Seen]]:
        """Waits for workers that outlived whoever was killed: they put their evidence away."""
        from lab.archive.reports import stored_plan, told
        from lab.contracts import MANIFEST
        from lab.host.workers import at_work

        folder = self.results / session
        try:
            plan = stored_plan(folder)
        except BadInput:
            return ()
        wait_until(
            lambda: (None if at_work(plan.sockets) else True, at_work(plan.sockets)),
            deadline=Deadline.after(f"the workers of session {session}", TIDY),
        )
        there = [run for run in plan.runs if (folder / run.id / MANIFEST).is_file()]
        return [(run.kernel, seen_of(told(folder / run.id, run.id), folder, session)) for run in there]

    def remembered(self, suspect: Suspect) -> Sequence[Seen]:
        """Runs of other sessions; none where one of them showed a splat whose console is gone."""
        from lab.archive.fill import catch_up
        from lab.archive.index import use_index

        kernel = self._kernels[suspect.name]

        def ask(index: Index) -> Sequence[Seen]:
            catch_up(index, self.results)
            return tuple(_known(index, self.search, kernel, self.results))

        try:
            found = use_index(self.results, ask) if self.results.is_dir() else ()
        except (LabError, OSError):
            return ()  # what is not remembered is run
        blind = any(t.rule == SPLAT and t.word == Word.FAIL and not t.frames for seen in found for t in seen.told)
        return () if blind else found

    def revert(self, search: Search, culprit: str) -> str:
        """Raises UnfitError, with the reason."""
        from lab.kernels import recipes

        asked, wrong = search.asked, search.range.named(culprit)
        if asked.kind == "packages":
            raise UnfitError("a package cannot be taken out")
        if culprit == search.range.bad.name:
            raise UnfitError("it is the bad end itself: without it, that is its parent")
        if len(wrong.parents) > 1:
            raise UnfitError("it is a merge")
        try:
            if asked.kind == "commits":
                recipe = commits.without(asked, search.range.bad, wrong)
            else:
                recipe = patches.without(asked, wrong)
            self._build(recipe)
        except BadInput as exc:
            raise UnfitError(f"it cannot be taken out: {one_line(exc.problems[0], 300)}") from exc
        recipes.remember(recipe)
        return f"{recipe.name}@{asked.design}" if asked.design else recipe.name

    def means(self) -> Means:
        """By what was measured in this search. Raises BadInput where no pair fits, HostTrouble without a host."""
        paces = self._paces[1:] if len(self._paces) > SOME else self._paces  # the first proves the accelerator as well
        named = self.search.range.named
        return Means(
            cost=lambda name: self.cost(named(name)),
            making=lambda name: self.making(named(name)),
            pairs=self._free(),
            run=median([pace.run for pace in paces] or [RUN_SECONDS / 2]),
            pair=median([pace.pair for pace in paces] or [PAIR_SECONDS]),
            around=median([pace.around for pace in paces] or [AROUND]),
        )

    def _free(self) -> int:
        """Pairs that a session may have at once: asked once, and told by each session with hosts after that."""
        from lab.session.room import room_of

        if not self._pairs:
            suspects = [self.search.range.bad]
            self._pairs = room_of(self.conduct, self._request(suspects), self.listener.progress)
            self.listener.progress(f"pairs at once: {self._pairs}")
        return self._pairs

    def making(self, suspect: Suspect) -> float:
        """What it takes until its kernel is there."""
        if suspect.name in self.search.contents:
            return 0.0
        if (kernel := self._asked.get(suspect.name)) is not None and _is_there(kernel):
            return QUICK  # it was made beside the runs since
        key = suspect.name, self._built_last
        if key not in self._costs:
            self._costs[key] = self._making(suspect)
        return self._costs[key]

    def cost(self, suspect: Suspect) -> float:
        """By what was measured of runs, and what has to be made before them."""
        spent = [e.seen.seconds for e in self.search.entries if e.seen.seconds > 0]
        once = median(spent) if spent else RUN_SECONDS
        return once + self.making(suspect) / 2  # runs come in pairs

    def _making(self, suspect: Suspect) -> float:
        from lab.kernels.catalogue import CatalogueKernel

        kernel = self._kernel(suspect)
        if _is_there(kernel):
            return QUICK
        if isinstance(kernel, CatalogueKernel):
            return max(2 * QUICK, kernel.size / FETCH_BYTES)
        if not self._built_last:
            return FRESH
        few = len(self.search.range.suspects) <= FEW
        return max(2 * QUICK, build_seconds(self._changed(suspect))) if few else NEIGHBOUR

    def _changed(self, suspect: Suspect) -> Iterator[str]:
        """Files that differ from what was built last."""
        search, asked = self.search, self.search.asked
        if asked.kind == "commits":
            last = search.range.bad.name if self._built_last == REVERT else self._built_last
            try:
                told = commits.git(Path(asked.source), "diff", "--name-only", last, suspect.name)
            except CommandFailed:
                return
            yield from told.splitlines()
        elif asked.kind == "patches" and self._built_last != REVERT:
            yield from patches.paths_between(asked, self._built_last, suspect.name)

    def _build(self, recipe: Recipe) -> None:
        from lab.kernels.build import ensure_built

        self._ahead.free(recipe.name, self.listener.progress)
        ensure_built(recipe, self.listener.progress)

    def _kernel(self, suspect: Suspect) -> Kernel:
        """What a suspect's kernel is made of."""
        from lab.kernels.catalogue import resolve

        asked = self.search.asked
        if asked.kind != "packages" and suspect.name != REVERT:
            make = commits.recipe_of if asked.kind == "commits" else patches.recipe_of
            return make(asked, suspect)
        (kernel,) = resolve((suspect.kernel,))
        return kernel


def pace_of(results: Sequence[RunResult], seconds: float, pairs: int) -> Pace:
    """Of a session that took so long on so many pairs."""
    spent = [result.manifest.seconds for result in results]
    fresh = [s.provision for s, r in zip(spent, results, strict=True) if not r.manifest.pair.runs_before]
    run = median(s.drive + s.collect for s in spent)
    pair = median(fresh or [0.0])
    rounds = math.ceil(len(fresh) / max(1, pairs)), math.ceil(len(results) / max(1, pairs))
    return Pace(run, pair, max(0.0, seconds - rounds[0] * pair - rounds[1] * run))


def _is_there(kernel: Kernel) -> bool:
    """Whether nothing has to be fetched or built for it."""
    from lab.kernels.build import find_built
    from lab.kernels.catalogue import CatalogueKernel
    from lab.kernels.recipe import Recipe
    from lab.kernels.stock import unpacked_dir

    if isinstance(kernel, CatalogueKernel):
        return (
            kernel.fetched or unpacked_dir(kernel.release, kernel.version, kernel.mark).is_dir()
        )  # since it was found
    return not isinstance(kernel, Recipe) or find_built(kernel) is not None


def seen_of(result: RunResult, folder: Path, session: str) -> Seen:
    """What the search keeps of a run."""
    from lab.report.wording import sentence

    manifest, verdict = result.manifest, result.verdict
    against = [f for f in verdict.findings if f.word not in NOT_PROOF]
    told = tuple(
        Told(f.rule, f.word.value, one_line(f.message, 300), _frames(folder / manifest.run, f.rule, f.pointer))
        for f in against[:20]
    )
    return Seen(
        manifest.run,
        session,
        verdict.word.value,
        told,
        verdict.kernel_fault,
        tuple(dict.fromkeys(incident.kind for incident in manifest.incidents)),
        one_line(sentence(result), 300) if verdict.word not in (Word.PASS, Word.DONE) else "",
        round(manifest.seconds.provision + manifest.seconds.drive + manifest.seconds.collect, 1),
        manifest.reproduce,
    )


def environment_of(result: RunResult) -> tuple[str, ...]:
    """What a reader needs to know of where it ran."""
    manifest = result.manifest
    host, pair = manifest.host, manifest.pair
    return (
        f"host {host.cpu or 'of unknown CPU'}, {host.cpus} CPUs, {host.memory_mib} MiB, {host.system}",
        f"QEMU {host.qemu}, libvirt {host.libvirt}, {host.accelerator}",
        f"guest under test {pair.receiver_mib if manifest.tested == 'receiver' else pair.sender_mib} MiB, "
        f"{pair.vcpus} CPU, NIC profile {manifest.nic}, MTU {manifest.mtu}",
        f"lab {manifest.lab_version}",
    )


def _frames(bundle: Path, rule: str, pointer: str) -> tuple[str, ...]:
    """Of a splat, the top of its call trace: read from the console that the finding points into."""
    path, _, line = pointer.rpartition(":")
    if rule != SPLAT or not path or not line.isdigit() or ".." in Path(path).parts:
        return ()
    console = read_file(bundle / path, OTHER)
    return frames_of(console, int(line)) if console else ()


def _known(index: Index, search: Search, kernel: BootableKernel, results: Path) -> Iterator[Seen]:
    """The newest runs of this very kernel, case and profile by this very lab. Of a lab that was changed, none."""
    from lab.archive.rows import HostRow, KernelRow, RunRow
    from lab.host.version import lab_version

    version, asked = lab_version(), search.asked
    ours = {entry.seen.session for entry in search.entries}
    if version.endswith(".dirty"):
        return
    where = "WHERE kernel = ? AND case_name = ? AND nic = ? AND lab_version = ? ORDER BY started DESC, key LIMIT 200"
    left = MOST_REMEMBERED
    for row in index.take(KernelRow, "WHERE sha256 = ? AND initrd_sha256 = ?", kernel.sha256, kernel.initrd_sha256):
        for run in index.take(RunRow, where, row.key, asked.case, asked.nic, version):
            (host,) = index.take(HostRow, "WHERE key = ?", run.host)
            if left and run.session not in ours and host.accelerator == (search.accelerator or host.accelerator):
                left -= 1
                yield _remembered(index, run, results)


def _remembered(index: Index, run: RunRow, results: Path) -> Seen:
    from lab.archive.places import path_of
    from lab.archive.rows import THERE, BundleRow

    found = index.take(BundleRow, "WHERE key = ? AND state = ? ORDER BY place LIMIT 1", run.key, THERE)
    bundle = path_of(results, found[0].place, found[0].folder, found[0].name) if found else results / "nowhere"
    told = tuple(Told(f.rule, f.word, f.message, _frames(bundle, f.rule, f.pointer)) for f in index.findings(run.key))
    incidents = tuple(run.incidents.split())
    return Seen(
        run.run, run.session, run.word, told, bool(run.fault), incidents, run.why or run.skip, 0.0, run.reproduce
    )
