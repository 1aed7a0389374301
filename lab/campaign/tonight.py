# SPDX-License-Identifier: GPL-2.0-only
"""The night that is at work: how far it got, what is left of its time, and its log."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout

from lab.campaign.asked import Asked
from lab.campaign.diary import FOLDER, Book, Diary, Night, read_diary, write_diary
from lab.contracts import Progress
from lab.errors import HostTrouble
from lab.spec.night import Target
from lab.units import utc_now

STALE = timedelta(hours=20)
"""A night that was cut off longer ago is not gone on with: its runs count for the next."""


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
class Tonight:
    """A night that begins, or goes on where it was cut off. For whoever is `alone`."""

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

    def book(self, target: Target) -> Book:
        """What was told of a target so far."""
        return self.diary.books.get(target.name, Book())

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

    def log(self, text: str) -> None:
        """A line for people, in the night's folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log").open("a") as stream:
            stream.write(f"{utc_now()} {text}\n")
        self.progress(text)
