# SPDX-License-Identifier: GPL-2.0-only
"""Kernels that a search may need next, made beside its runs: one after the other, each by a process of its own.

`python -m lab.campaign.bisect.ahead PID KERNEL` is such a process. It gives way to the guests, and ends with PID.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import IO

from lab.contracts import Progress
from lab.host.interrupt import end_in_order, ends_with, held_back
from lab.kernels.make import BUILD_LIMIT
from lab.units import Deadline, wait_until

NICE = 10
AUTOGROUP = Path("/proc/self/autogroup")
"""Where sessions share the processors, niceness counts within one alone; this one has its own (sched(7))."""
END_LIMIT = timedelta(seconds=60)
"""What is built ends make first, which has 20 s."""
LAST_SAID = 400
"""Bytes."""


@dataclass
class Ahead:
    """What is made now, and what after it. Kernels are named as `lab run --kernel` takes them.

    A process that failed says nothing: whoever needs its kernel makes it, and learns why that cannot be.
    """

    making: str = ""
    left: tuple[str, ...] = ()
    _over: set[str] = field(default_factory=set)
    _process: subprocess.Popen[bytes] | None = None
    _said: IO[bytes] | None = None

    def want(self, kernels: Sequence[str]) -> None:
        """From now on these are wanted, the first one first. What is made and is none of them is ended."""
        if self.making not in kernels:
            self.end()
        self.left = tuple(name for name in kernels if name != self.making and name not in self._over)

    def go_on(self) -> str:
        """Begin the next one if none is being made. Returns its name, "" where nothing was begun. Raises OSError."""
        if self._process is not None and self._process.poll() is None:
            return ""
        self.end()
        if not self.left:
            return ""
        self.making, *left = self.left
        self.left = tuple(left)
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        argv = [sys.executable, "-P", "-m", __name__, str(os.getpid()), self.making]
        self._process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=self._said, stderr=subprocess.STDOUT, start_new_session=True
        )
        return self.making

    def free(self, kernel: str, progress: Progress) -> None:
        """Return when nothing is being made: this kernel is waited for, any other is ended. Raises DeadlinePassed."""
        if self._process is not None and kernel == self.making:
            process = self._process

            _hurry(process.pid)

            def over() -> tuple[int | None, object]:
                said = self._last_said()
                progress(f"waiting for {kernel}, begun ahead: {said}")
                return process.poll(), said

            wait_until(over, deadline=Deadline.after(f"kernel {kernel}, begun ahead", BUILD_LIMIT))
        self.end()

    def end(self) -> None:
        """Nothing is being made when this returns."""
        if self._process is None:
            return
        with held_back():
            if self._process.poll() is None:
                self._process.terminate()
                try:
                    self._process.wait(END_LIMIT.total_seconds())
                except subprocess.TimeoutExpired:
                    self._process.kill()
                    self._process.wait()
            else:
                self._over.add(self.making)
            if self._said is not None:
                self._said.close()
            self.making, self._process, self._said = "", None, None

    def _last_said(self) -> str:
        """The last line of the process; it writes where this reads, so the file's position is left alone."""
        if self._said is None:
            return ""
        number = self._said.fileno()
        tail = os.pread(number, LAST_SAID, max(0, os.fstat(number).st_size - LAST_SAID))
        return (tail.decode(errors="replace").splitlines() or ["starting"])[-1]


def _hurry(session: int) -> None:
    """What is waited for gives way no more: all processes of a session get our own niceness. Root may do that; of
    others, what is built goes on as it is."""
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getsid(int(entry.name)) == session:
                os.setpriority(os.PRIO_PROCESS, int(entry.name), ours)
    with contextlib.suppress(OSError):
        Path(f"/proc/{session}/autogroup").write_text(str(ours))


def main() -> None:
    """Make one kernel. Raises LabError."""
    end_in_order()
    if not ends_with(int(sys.argv[1]), signal.SIGTERM):
        return
    os.nice(NICE)
    with contextlib.suppress(OSError):  # a kernel may not have it
        AUTOGROUP.write_text(str(NICE))
    from lab.kernels.build import ensure_built
    from lab.kernels.catalogue import CatalogueKernel, resolve
    from lab.kernels.fetch import ensure_fetched
    from lab.kernels.recipe import Recipe

    (kernel,) = resolve(sys.argv[2:])
    if isinstance(kernel, Recipe):
        ensure_built(kernel, _say)
    elif isinstance(kernel, CatalogueKernel):
        ensure_fetched(kernel, _say)


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
