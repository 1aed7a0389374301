# SPDX-License-Identifier: GPL-2.0-only
"""Watches the guests of a pair from the host's side, as long as the pair lives: what their QEMUs write, and when they
could not run.

One thread looks at all of them five times a second. A guest that says more than a channel may carry is ended by it;
everything else is only remembered, for the run that asks.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from lab.errors import Fault, LabTrouble
from lab.plan.channels import HEADROOM
from lab.provision.gaps import Gaps, told
from lab.provision.growing import Growing
from lab.provision.hypervisor import Death
from lab.provision.process import Emulator, await_end
from lab.units import MIB

PERIOD_S = 0.2

RENEWED = 4 * MIB
"""Growth of a guest's files after which the kernel's limit on them is set anew."""


DEATH_S = 2.0
"""For libvirt to tell how a QEMU that is gone has ended."""


class Announced(Protocol):
    """What is asked of a guest's signals here; `lab.provision.guest.Signals` gives it."""

    @property
    def flood(self) -> str: ...

    def await_death(self, seconds: float) -> Death | None: ...


@dataclass
class Watched:
    """One guest: its QEMU (None where it could not be found), its captures, what it said on its ready port, and how it
    is ended where its QEMU is another user's."""

    role: str
    emulator: Emulator | None
    captures: tuple[Growing, ...]
    signals: Announced
    end: Callable[[], object]
    began: float = field(default_factory=time.monotonic)
    gaps: Gaps = field(default_factory=Gaps)
    takes_in: bool = False
    """Whether it is taking in a state: a QEMU that cannot ends itself, just as if it had been killed."""
    _limited_at: int = -RENEWED
    _told: set[str] = field(default_factory=set)

    def look(self) -> None:
        """Raises OSError where the host does not let us look."""
        for capture in self.captures:
            with contextlib.suppress(OSError):  # `prove` tells of what cannot be read
                capture.look(time.monotonic())
        if self.emulator is None or self.emulator.gone:
            return
        if self.floods:
            self._end()
            return
        self.gaps.see(self.emulator.look())
        largest = max(capture.size for capture in self.captures)
        if largest - self._limited_at >= RENEWED:
            self._limited_at = largest
            self.emulator.limit_files(largest + HEADROOM)

    def _end(self) -> None:
        try:
            if self.emulator is not None:
                self.emulator.end()
        except PermissionError:
            self.end()

    def prove(self) -> None:
        """See that captures are what was written, and that there was somebody to see it."""
        for capture in self.captures:
            capture.proved()
        if self.emulator is not None and not self.emulator.gone:
            self.gaps.look_in(time.monotonic())

    @property
    def floods(self) -> tuple[str, ...]:
        captures = [c.trouble[1] for c in self.captures if c.trouble is not None and c.trouble[0] == "flood"]
        return (*captures, *filter(None, [self.signals.flood]))

    def take(self) -> Iterator[Fault]:
        """What is new. A gap that goes on is told each time, all else once."""
        new = [Fault("flood", self.role, f"{why}: the guest was ended") for why in self.floods]
        changed = [c.trouble[1] for c in self.captures if c.trouble is not None and c.trouble[0] == "host"]
        new += [Fault("host", self.role, why) for why in changed]
        for fault in new:
            if fault.detail not in self._told:
                self._told.add(fault.detail)
                yield fault
        if gaps := told(self.gaps.take(), self.began):
            yield Fault("frozen", self.role, gaps)

    def taken_away(self) -> Iterator[Fault]:
        """Whether its QEMU is gone for no reason of its own. May wait for libvirt to say so."""
        if self.emulator is None or not self.emulator.gone or self.floods or self.takes_in:
            return
        death = self.signals.await_death(DEATH_S)
        if death is None or not death.by_itself:
            yield Fault("qemu-exit", self.role, str(death or "its QEMU is gone, and libvirt does not say why"))


class Watch:
    """Use it as a `with` block around the lives of the guests."""

    def __init__(self) -> None:
        self._guests: list[Watched] = []
        self._kept: list[Fault] = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(PERIOD_S):
            with self._lock:
                self._look()

    @contextlib.contextmanager
    def over(self, guest: Watched) -> Iterator[Watched]:
        """Watch a guest in the block, after which it is ended. What nobody has asked for by then is kept."""
        with self._lock:
            self._guests.append(guest)
            self._look()
        try:
            yield guest
        finally:
            with self._lock:
                self._look()
                self._kept += [*guest.take(), *guest.taken_away()]
                self._guests.remove(guest)
                if guest.emulator is not None:
                    guest.emulator.close()

    @contextlib.contextmanager
    def until_known(self) -> Iterator[None]:
        """Trouble in the block races with the end of a QEMU, whose sockets are closed first: give that its chance."""
        try:
            yield
        except LabTrouble:
            with self._lock:
                running = [guest.emulator for guest in self._guests if guest.emulator is not None]
            await_end(running, DEATH_S)
            raise

    def troubles(self) -> tuple[Fault, ...]:
        """What was seen since somebody last asked, up to this moment. What was captured is proved to be unchanged."""
        with self._lock:
            self._look(Watched.prove)
            taken, self._kept = self._kept, []
            for guest in self._guests:
                taken += guest.take()
            return tuple(taken)

    def _look(self, *more: Callable[[Watched], None]) -> None:
        """A host that does not let us look (no descriptor is left, say) makes the next look a late one."""
        for guest in self._guests:
            for look in (Watched.look, *more):
                with contextlib.suppress(OSError):
                    look(guest)
