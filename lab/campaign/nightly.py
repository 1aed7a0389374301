# SPDX-License-Identifier: GPL-2.0-only
"""A night: sources refreshed, kernels made, cells run, what differs run again, and what changed told.

Each step can be done again: what was run is in the archive, what was told in the diary (lab.campaign.diary). So a night
that was killed goes on where it was, and nothing is told twice.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout

from lab.archive.fill import catch_up
from lab.archive.index import Index, use_index
from lab.archive.select import of_command
from lab.campaign import culprits, letters
from lab.campaign.diary import FOLDER, Book, Diary, Night, Post, read_diary, write_diary
from lab.campaign.sources import Source, made, refresh_lists, source_of
from lab.campaign.tracks import SESSIONS, View, command_of, is_of, issues_met, turned, view_of
from lab.contracts import BootableKernel, Progress
from lab.errors import BadInput, HostTrouble, LabError
from lab.experiments.found import case_named
from lab.host.post import send
from lab.host.records import write_whole
from lab.plan.matrix import Run, expand
from lab.session.conduct import Conducts, Listener, conduct
from lab.session.learnt import load_learnt
from lab.session.prepare import combine
from lab.session.suites import with_folders
from lab.spec.night import NightSpec, Target
from lab.spec.request import SessionRequest
from lab.units import utc_now

STALE = timedelta(hours=20)
"""A night that was cut off longer ago is not gone on with: its runs count for the next."""
ROUNDS = 10
"""Sessions of one target in a night."""
SEARCHABLE = 60.0
"""Seconds that have to be left for a search to be begun."""
MARGIN = 1.2
"""What is expected to take a time may take so much longer."""


@dataclass(frozen=True)
class Asked:
    """What a night is about. `only` names targets, all if empty; `conduct` has its sessions done."""

    path: Path
    spec: NightSpec
    root: Path
    only: tuple[str, ...] = ()
    conduct: Conducts = conduct

    @property
    def folder(self) -> Path:
        return self.root / FOLDER / self.path.stem

    @property
    def targets(self) -> tuple[Target, ...]:
        return tuple(target for target in self.spec.target if not self.only or target.name in self.only)


@dataclass(frozen=True)
class Ended:
    """A night that is over. `line` is all that is said where nothing is new; `unsent` says why mails still wait."""

    line: str
    night: Night
    mails: tuple[Path, ...]
    unsent: str = ""


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Only one nightly works on a results folder at a time. Raises HostTrouble when there is another."""
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    lock = FileLock(root / FOLDER / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as exc:
        raise HostTrouble(f"another nightly is at work on {root}: nothing was done") from exc
    try:
        yield
    finally:
        lock.release()


def unfinished(asked: Asked) -> bool:
    """Whether a night was cut off that can be gone on with."""
    night = read_diary(asked.folder).night
    return night is not None and not night.ended and _age(night) < STALE


def _age(night: Night) -> timedelta:
    return datetime.now(UTC) - datetime.fromisoformat(night.began)


@dataclass
class Nightly:
    """One night at work. For whoever is `alone`."""

    asked: Asked
    progress: Progress
    diary: Diary = field(init=False)
    out_of_time: bool = False
    _since: float = field(init=False)

    def __post_init__(self) -> None:
        self.diary, self._since = read_diary(self.asked.folder), time.monotonic()
        night = self.diary.night
        again = night is not None and self.asked.only and {t.name for t in self.asked.targets} <= set(night.targets)
        if night is None or night.ended or again or _age(night) >= STALE:
            began = utc_now()
            self.diary = replace(self.diary, night=Night(began[:19].replace(":", "").replace("-", ""), began))
        self.keep(self.diary)

    @property
    def night(self) -> Night:
        assert self.diary.night is not None  # noqa: S101 - see above
        return self.diary.night

    @property
    def folder(self) -> Path:
        return self.asked.folder / self.night.name

    @property
    def left(self) -> float:
        """Seconds of the time that the night may take."""
        spent = self.night.spent + time.monotonic() - self._since
        return 0.0 if self.out_of_time else self.asked.spec.hours * 3600 - spent

    def keep(self, diary: Diary) -> None:
        """Write down how far it got."""
        now, night = time.monotonic(), diary.night
        assert night is not None  # noqa: S101 - see above
        self.diary = replace(diary, night=replace(night, spent=night.spent + now - self._since))
        self._since = now
        write_diary(self.asked.folder, self.diary)

    def work(self) -> Ended:
        """The whole night, or what is left of it. Raises KeyboardInterrupt when a signal ends it."""
        todo = [target for target in self.asked.targets if target.name not in self.night.targets]
        notes = refresh_lists(self.progress) if any(t.kernel or t.base for t in todo) else ()
        for note in notes:
            self.log(note)
        with self.timed():
            for target in todo:
                if self.left <= 0:
                    self.passed_over(target, "not reached in time")
                    continue
                self.target(target)
        self.deliver()  # what changed is told before a search, which may take all the time that is left
        with self.timed():
            self.search()
        return self.close()

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """When time is up, what runs is ended in order, as by a Ctrl-C."""

        def stop() -> None:
            self.out_of_time = True
            os.kill(os.getpid(), signal.SIGINT)

        timer = threading.Timer(max(1.0, self.left), stop)
        timer.daemon = True
        timer.start()
        try:
            yield
        except KeyboardInterrupt:
            if not self.out_of_time:
                raise
        finally:
            timer.cancel()

    def passed_over(self, target: Target, why: str, *, failed: bool = False) -> None:
        """A target of which nothing can be told tonight."""
        night = replace(self.night, targets={**self.night.targets, target.name: why})
        night = replace(night, failed=(*night.failed, target.name)) if failed else night
        self.keep(replace(self.diary, night=night))
        self.log(f"{target.name}: {why}")

    def target(self, target: Target) -> None:
        """One target from its source to what is told of it."""
        try:
            source = source_of(target, self.asked.path.parent, self.progress)
            for note in source.notes:
                self.log(note)
            kernel = made(source.name, self.progress)
            wanted = wanted_runs(self.asked, target, source, kernel)
            view = self.run(target, source, kernel, wanted)
        except LabError as exc:
            self.cannot(target, exc)
            return
        if view.seen:
            self.tell(target, source, kernel, view, tracks(wanted))
        else:
            self.passed_over(target, "not reached in time")

    def run(self, target: Target, source: Source, kernel: BootableKernel, wanted: Sequence[Run]) -> View:
        """Runs until every track has one, and what differs was run often enough, or time is up."""
        view, before = self.view(target, kernel, wanted), -1
        for _ in range(ROUNDS):
            counts = dict.fromkeys(view.lacking, self.asked.spec.repeat) or view.again
            counts = affordable(counts, wanted, self.left / MARGIN)
            done = sum(map(len, view.tonight.values()))
            if not counts or done == before:  # a round that left no run would leave none again
                break
            before = done
            if not self.session(target, source, counts):
                return self.view(target, kernel, wanted)
            view = self.view(target, kernel, wanted)
            self.keep(self.diary)
        return view

    def session(self, target: Target, source: Source, counts: Mapping[str, int]) -> bool:
        """Run each track so many times; whether it came to its end. Raises KeyboardInterrupt for a signal not ours."""

        def only(run: Run) -> bool:
            return run.repeat < counts.get(f"{run.case}/{run.nic}", 0)

        request = replace(request_of(self.asked, target, source.name), repeat=max(counts.values()))
        self.log(f"{target.name}: {sum(counts.values())} runs of {len(counts)} tracks on {source.name}")
        done = self.asked.conduct(request, self.asked.root, Listener(progress=self.progress), only=only)
        self.log(f"{target.name}: session {done.plan.folder.name}, {len(done.results)} verdicts")
        done.session()  # its reports, where its engine came to a bad end
        if done.interrupted and not self.out_of_time:
            raise KeyboardInterrupt
        return not done.interrupted

    def view(self, target: Target, kernel: BootableKernel, wanted: Sequence[Run]) -> View:
        """What the archive says of the target now."""
        book, began = self.diary.books.get(target.name, Book()), self.night.began

        def ask(index: Index) -> View:
            catch_up(index, self.asked.root, self.progress)
            runs = of_command(index, is_of(self.asked.path, target.name), SESSIONS)
            return view_of(index, self.asked.root, runs, tracks(wanted), book, began, kernel.sha256)

        return use_index(self.asked.root, ask)

    def tell(self, target: Target, source: Source, kernel: BootableKernel, view: View, wanted: Sequence[str]) -> None:
        """Write what changed, and then, in one step, that it is told."""
        book = self.diary.books.get(target.name, Book())
        root, mail = self.asked.root, self.asked.spec.mail
        report = self.folder / f"report-{target.name}.md"

        def ask(index: Index) -> tuple[letters.Written, Book]:
            after, notes = issues_met(index, view.runs, [seen.change for seen in view.seen.values()], book)
            notes += [f"{track} gives a verdict again" for track, seen in view.seen.items() if seen.back]
            notes += [f"{track} is not run any more" for track in book.tracks if track not in wanted]
            notes += [f"{target.name} can be tested again"] if book.broken else []
            finder = culprits.bisecting(self.asked.path.parent, target)
            letter = letters.letter_of(index, root, target.name, view, notes, finder, str(report))
            return letters.written(replace(letter, reported_by=mail.reported_by), view), turned(view, after, wanted)

        written, after = use_index(root, ask)
        posts = self.posted(target.name, written)
        words = letters.words_of(kernel.name, view, written.letter)
        write_whole(report, written.table.encode())
        self.keep(
            self.diary.told(target.name, after, words, posts, worse=written.worse).searching(self.wanted(written))
        )
        self.log(f"{target.name}: {words}")

    def wanted(self, written: letters.Written) -> tuple[str, ...]:
        """The searches that follow from what is told."""
        return tuple(news.bisect for news in written.letter.news if news.bisect) if self.asked.spec.bisect else ()

    def search(self) -> None:
        """Look for what brought the new failures, one after the other, as long as there is time."""
        for number, (command, came_to) in enumerate(self.night.searches.items(), 1):
            if came_to:
                continue
            if self.left < SEARCHABLE:
                self.log(f"no time is left for: {command}")
                continue
            self.log(f"search: {command}")
            folder = self.folder / f"bisect-{number}"
            try:
                left, pairs = self.left / MARGIN, self.asked.spec.pairs
                found = culprits.look_for(command, folder, self.asked.root, left, self.asked.conduct, self.log, pairs)
            except LabError as exc:
                found = culprits.Found(f"not searched: {str(exc).splitlines()[0]}", "")
            mail = letters.culprit_bytes(found.mail, self.asked.spec.mail, self.night.began) if found.mail else b""
            posts = self.post(f"culprit-{number}", mail) if mail else ()
            searches = {**self.night.searches, command: found.line}
            night = replace(self.night, searches=searches)
            self.keep(replace(self.diary, night=night, posts=(*self.diary.posts, *posts)))
            self.log(found.line)

    def cannot(self, target: Target, exc: LabError) -> None:
        """A target that cannot be had. A series that does not apply is told once; trouble of this host is no news."""
        book = self.diary.books.get(target.name, Book())
        why = str(exc)
        if not isinstance(exc, BadInput) or book.broken == why:
            self.passed_over(target, f"not tested: {why.splitlines()[0]}", failed=True)
            return
        letter = letters.Letter(target.name, (), 0, 0, tuple(f"not tested: {line}" for line in why.splitlines()))
        posts = self.posted(target.name, letters.Written(letter, "", worse=True))
        words = f"not tested: {exc.message.splitlines()[0]}"
        told = self.diary.told(target.name, replace(book, broken=why), words, posts, worse=True)
        self.keep(
            replace(told, night=replace(told.night, failed=(*self.night.failed, target.name)) if told.night else None)
        )
        self.log(f"{target.name}: {words}")

    def posted(self, target: str, written: letters.Written) -> tuple[Post, ...]:
        """The mail of a target, on the disk; none where nothing changed."""
        if not (written.letter.news or written.letter.notes):
            return ()
        return self.post(target, letters.mail_bytes(written.letter, self.asked.spec.mail, self.night.began))

    def post(self, name: str, mail: bytes) -> tuple[Post, ...]:
        """A mail, on the disk."""
        file = self.folder / f"mail-{name}.eml"
        write_whole(file, mail)
        return (Post(str(file.relative_to(self.asked.folder)), sent=not self.asked.spec.mail.to),)

    def close(self) -> Ended:
        """Hand over the mails that wait, and say what came of the night."""
        for target in self.asked.targets:
            if target.name not in self.night.targets:
                self.passed_over(target, "not reached in time")
        unsent = self.deliver()
        if not self.asked.only:
            self.keep(replace(self.diary, night=replace(self.night, ended=True)))
        else:
            done = {target.name for target in self.asked.spec.target} <= set(self.night.targets)
            self.keep(replace(self.diary, night=replace(self.night, ended=done)))
        mails = tuple(sorted(self.folder.glob("mail-*.eml")))
        told = "; ".join(f"{name}: {words}" for name, words in self.night.targets.items())
        self.log(f"ended: {told}")
        return Ended(f"nightly {self.asked.path.stem}: {told}", self.night, mails, unsent)

    def deliver(self) -> str:
        """Hand over what waits, this night's and those of nights before; why not, "" when all are."""
        trouble = ""
        for post in self.diary.posts:
            if not post.sent:
                try:
                    send(letters.read_mail(self.asked.folder / post.file), self.asked.spec.mail.smtp)
                except (LabError, OSError) as exc:
                    trouble = str(exc)
                    continue
            self.keep(replace(self.diary, posts=tuple(each for each in self.diary.posts if each != post)))
        return trouble

    def log(self, text: str) -> None:
        """A line for people, in the night's folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("a") as stream:
            stream.write(f"{utc_now()} {text}\n")
        self.progress(text)


def request_of(asked: Asked, target: Target, kernel: str) -> SessionRequest:
    """What a target asks a session for."""
    spec = asked.spec
    own = bool(target.suites or target.cases)
    return SessionRequest(
        names=with_folders(target.cases if own else spec.cases),
        suites=target.suites if own else spec.suites,
        kernels=(kernel,),
        nics=target.nics or spec.nics,
        pairs=spec.pairs,
        command=command_of(asked.path, target.name),
    )


def wanted_runs(asked: Asked, target: Target, source: Source, kernel: BootableKernel) -> tuple[Run, ...]:
    """A run for each track. Raises BadInput."""
    suite = combine(request_of(asked, target, source.name))
    cases = [case_named(name) for name in suite.cases]
    return expand("", [(kernel.name, kernel.design)], suite.nics, cases, 1, {kernel.name: "-"})


def tracks(runs: Sequence[Run]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{run.case}/{run.nic}" for run in runs))


def affordable(counts: Mapping[str, int], wanted: Sequence[Run], seconds: float) -> dict[str, int]:
    """As many of these as fit into a time, in their order, by how long they took so far."""
    durations = load_learnt().durations
    by_track = {f"{run.case}/{run.nic}": run for run in wanted}
    chosen: dict[str, int] = {}
    for track, times in counts.items():
        told = [value for key, values in durations.items() if key.startswith(f"{track}/") for value in values]
        each = max(told, default=by_track[track].seconds)
        fits = min(times, int(seconds // max(each, 1.0)))
        if fits < 1:
            break
        chosen[track] = fits
        seconds -= fits * each
    return chosen
