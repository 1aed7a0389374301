# SPDX-License-Identifier: GPL-2.0-only
"""`python -m lab.fleet.by_parallel SESSION TRIES CONTROLLER`: GNU parallel hands batches out, attempts are forked here.

GNU parallel starts here.sh for a batch, which asks this process for an attempt by a pipe, and waits. So no attempt has
an interpreter of its own: what it takes to load is loaded once. Who ends with whom, however that ends:

    the controller   this process, which was told its pid
    this process     GNU parallel and attempts, by their parent-death signal; who waits, as the pipe ends that it reads
    who waits        the attempt, in order; as when it is sent SIGINT, SIGTERM or SIGHUP
"""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import selectors
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.fleet import carry
from lab.fleet.attempts import FleetFolder
from lab.fleet.batch import TRY_ELSEWHERE
from lab.fleet.carriers import BATCHES, JOBLOG, LOGINS
from lab.fleet.forks import forked, loaded, remembered
from lab.host.workers import ENOUGH

HERE = Path(__file__).with_name("here.sh")
AGAIN = 0.2
"""Seconds until an answer is given once more: a shell that is about to wait may miss a signal."""
MOST = 65536
FILES = 65536
"""That this process may have open at once: two for each attempt."""
Attempts = Callable[[str, str], Callable[[], int]]
"""By batch and host, what a child is to do: it returns the child's exit status."""


@dataclass
class Waits:
    """A shell that waits, and the pid of its attempt. `life`: its pidfd. `answer`: how the attempt ended."""

    shell: int
    life: int
    what: str
    attempt: int = 0
    answer: signal.Signals | None = None


@dataclass
class Desk:
    """Begins an attempt for everyone who asks, and tells how it ended.

    enough()  whether the session wants no more: then nobody gets an attempt
    """

    parallel: subprocess.Popen[bytes]
    batches: Sequence[str]
    attempts: Attempts
    enough: Callable[[], bool]
    _waiting: dict[int, Waits] = field(default_factory=dict)
    _told: bytes = b""
    _status: int | None = None
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def serve(self, ask: int, controller: int) -> int:
        """Exit status: that of GNU parallel, or 1 where the controller ends first.

        ask  where requests are read;  controller  its pidfd
        """

        def over() -> None:
            self._status = self.parallel.wait()

        def alone() -> None:
            self.parallel.kill()
            self._status = 1

        self._when(ask, functools.partial(self._hear, ask))
        self._when(os.pidfd_open(self.parallel.pid), over)
        self._when(controller, alone)
        while self._status is None:
            answered = [waits for waits in self._waiting.values() if waits.answer]
            for key, _ in self._selector.select(AGAIN if answered else None):
                key.data()
            for waits in answered:
                self._tell(waits)
        return self._status

    def _when(self, fd: int, do: Callable[[], None]) -> None:
        self._selector.register(fd, selectors.EVENT_READ, do)

    def _over(self, fd: int) -> None:
        self._selector.unregister(fd)
        os.close(fd)

    # -- what is asked -----------------------------------------------------------------------------------------------

    def _hear(self, ask: int) -> None:
        """A line is a request; it comes in one piece, being shorter than PIPE_BUF."""
        *lines, self._told = (self._told + os.read(ask, MOST)).split(b"\n")
        for line in lines:
            words = line.decode(errors="replace").split()
            if len(words) == 2 and words[0] == "stop" and words[1].isdecimal():
                self._stop(self._waiting.get(int(words[1])))
            elif len(words) == 3 and words[0].isdecimal() and words[2].isdecimal():
                self._begin(int(words[0]), words[1], int(words[2]))
            else:
                print(f"asked for what is no attempt: {line[:100]!r}", file=sys.stderr)

    def _begin(self, number: int, host: str, shell: int) -> None:
        """`number`: of a batch, from 1. A shell that is gone gets no attempt."""
        try:
            life = os.pidfd_open(shell)
        except ProcessLookupError:
            return
        if not 1 <= number <= len(self.batches):
            print(f"there is no batch {number}", file=sys.stderr)
            signal.pidfd_send_signal(life, signal.SIGKILL)
            os.close(life)
            return
        waits = Waits(shell, life, f"{self.batches[number - 1]} on {host}")
        self._waiting[shell] = waits
        self._when(life, functools.partial(self._gone, waits))
        if self.enough():
            self.parallel.send_signal(signal.SIGHUP)  # else it would ask for each batch that is left
            self._answer(waits, 0)
            return
        waits.attempt = forked(self.attempts(self.batches[number - 1], host))
        ends = os.pidfd_open(waits.attempt)
        self._when(ends, functools.partial(self._ended, waits, ends))

    def _stop(self, waits: Waits | None) -> None:
        """An attempt ends in order; it is not reaped before its answer is there, so its pid is nobody else's."""
        if waits is not None and waits.answer is None and waits.attempt:
            os.kill(waits.attempt, signal.SIGINT)

    # -- what has ended ----------------------------------------------------------------------------------------------

    def _gone(self, waits: Waits) -> None:
        """A shell: it has its answer, or was killed."""
        self._stop(waits)
        self._over(waits.life)
        if self._waiting.get(waits.shell) is waits:
            del self._waiting[waits.shell]

    def _ended(self, waits: Waits, fd: int) -> None:
        """An attempt."""
        self._over(fd)
        status = os.waitstatus_to_exitcode(os.waitpid(waits.attempt, 0)[1])
        if status not in (0, TRY_ELSEWHERE):
            print(f"{waits.what} ended with {status}", file=sys.stderr)
        self._answer(waits, status)

    def _answer(self, waits: Waits, status: int) -> None:
        """All that GNU parallel has to know is whether to try again."""
        waits.answer = signal.SIGUSR2 if status else signal.SIGUSR1
        self._tell(waits)

    def _tell(self, waits: Waits) -> None:
        if self._waiting.get(waits.shell) is waits and waits.answer is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(waits.life, waits.answer)


def command(session: Path, tries: int, ssh: Sequence[str]) -> list[str]:
    """GNU parallel's own: whatever it would run on a host, `ssh` decides."""
    root = FleetFolder(session).root
    return [
        "parallel",
        *("--will-cite", "--no-notice", "--plain", "--ungroup", "--jobs", "100%"),
        *("--joblog", str(root / JOBLOG), "--retries", str(tries)),
        *("--sshloginfile", str(root / LOGINS), "--ssh", shlex.join(ssh)),
        *("--workdir", "/", "attempt", "{}", "::::", str(root / BATCHES)),
    ]


def conducted(session: Path, tries: int, controller: int, attempts: Attempts, enough: Callable[[], bool]) -> int:
    """Have GNU parallel hand out the batches of a session, as `Desk` has it: exit status."""
    life = os.pidfd_open(controller)
    if os.getppid() != controller:
        return 1
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
    (hear, ask), (alive, _) = os.pipe(), os.pipe()
    argv = command(session, tries, ("/bin/sh", str(HERE), str(ask), str(alive)))
    parallel = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", *argv], stdin=subprocess.DEVNULL, pass_fds=(ask, alive)
    )
    signal.signal(signal.SIGHUP, lambda *_: parallel.send_signal(signal.SIGHUP))
    names = (FleetFolder(session).root / BATCHES).read_text().split()
    return Desk(parallel, names, attempts, enough).serve(hear, life)


def main(session: Path, tries: int, controller: int) -> int:
    """Exit status of GNU parallel. Raises BadInput."""
    known = loaded(session)

    def attempt(batch: str, host: str) -> Callable[[], int]:
        remembered(session)
        return functools.partial(carry.main, session, batch, host, known)

    return conducted(session, tries, controller, attempt, (known[0].sockets / ENOUGH).exists)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
