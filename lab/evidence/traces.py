# SPDX-License-Identifier: GPL-2.0-only
"""The catch-all: a stack trace or a register dump that no known report explains is a report of a kind not known."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lab.evidence.model import Grade, Splat
from lab.evidence.records import Record
from lab.text.words import titled

REPORT_LINES, REPORT_S = 400, 10.0
"""A fault's report goes on for as long: lockdep prints chains of locks, a stall the traces of every CPU."""
TRACE_LINES, TRACE_S = 100, 10.0
"""How far behind its first line the one trace of a report that is no fault may begin."""
ONE_TRACE_LINES = 60
"""Lines within which registers belong to the trace before them."""
MOST_NAMED = 100
"""Unexplained traces whose line before is looked for."""
CUT_LINES = 40
"""How far below `cut here` the line that says what happened may stand."""

NEEDLES = (
    "all Trace:",
    "all trace:",
    "acktrace:",
    "RIP: ",
    "EIP: ",
    "pc : ",
    "PC is at ",
    "NIP [",
    "RAX: ",
    "---[ end trace",
    "[ cut here ]",
    "</TASK>",
    "sysrq: ",
    "FAULT_INJECTION: forcing a failure",
    "is a kernel self test and not a bug",
    "exited with ",
)
_CALLS = re.compile(r"^\s{0,8}(?:Call [Tt]race:|(?:stack )?[Bb]acktrace:)")
_REGISTERS = re.compile(
    r"^\s{0,8}(?:RIP: (?:0010|e0[0-9a-f]{2}):|EIP: (?:0060:|\w{1,80}\+0x)|e?pc : \S{1,80}\+0x|PC is at |NIP \[)"
    r"|\bR?AX: [0-9a-f]{16} RBX: "
)
_USER = re.compile(r"\bRIP: (?:0033|0023|002b):")
_DIED = re.compile(r"^note: .{1,40}\[\d{1,9}\] exited with (?:preempt_count|irqs disabled)")  # kernel/exit.c
_EXCUSE = re.compile(r"^sysrq: ")
_ONE_EXCUSE = re.compile(r"FAULT_INJECTION: forcing a failure|is a kernel self test and not a bug")
_BESIDE = re.compile(
    r"^\s{0,8}(?:CPU: |Hardware name|Modules linked|pstate: |lr : |Tainted: |Workqueue: |Sched_ext: |Code: |RIP: "
    r"|R[A-Z0-9]{2}: |[CDEFG]S: |<|\[<|\? |\S{1,100}\+0x|(?:stack )?[Bb]acktrace|Call [Tt]race)"
)
_RULES = "-=*#[] \t"


@dataclass
class Traces:
    """Follows the traces of a console, told of the reports in it.

    before  the records before an offset, nearest first: one of them says what a trace is about
    """

    before: Callable[[int, int], Iterable[Record]]
    _report: Record | None = None
    _credits: deque[Record] = field(default_factory=deque)
    _trace: Record | None = None
    _calls: bool = False
    _found: int = 0
    _user: Record | None = None
    _cut: Record | None = None

    def fault(self, record: Record) -> None:
        """A fault is told here: the traces that come with it say nothing new."""
        self._report, self._cut, self._trace = record, None, None

    def told(self, record: Record) -> None:
        """A report begins here that is no fault, and has one stack trace."""
        self._credits.append(record)

    def take(self, record: Record) -> Splat | None:
        """A splat where a trace begins that nothing explains."""
        if not record.kernel:
            return None
        late = self._unfinished(record)
        if "[ cut here ]" in record.text:
            self._cut = record
        elif _EXCUSE.search(record.text):
            self._report = record
        elif _ONE_EXCUSE.search(record.text):
            self.told(record)
        elif "</TASK>" in record.text:
            self._trace = None
        elif _USER.search(record.text):
            self._user = record
        else:
            return self._mark(record) or late
        return late

    def done(self) -> Splat | None:
        """What was still expected when the console ended."""
        cut, self._cut = self._cut, None
        return _splat(cut, "a report that begins here and says nothing") if cut else None

    def _unfinished(self, record: Record) -> Splat | None:
        return self.done() if self._cut and record.line - self._cut.line > CUT_LINES else None

    def _mark(self, record: Record) -> Splat | None:
        calls = _CALLS.match(record.text) is not None
        ended = "---[ end trace" in record.text
        died = _DIED.match(record.text) is not None
        registers = _REGISTERS.search(record.text) is not None
        if not (calls or ended or died or registers) or (registers and self._of_a_program(record)):
            return None
        if self._goes_on(record, calls):
            self._calls |= calls and "Call" in record.text
            self._trace = None if ended else self._trace
            return None
        self._trace, self._calls = None if ended else record, calls and "Call" in record.text
        if self._explained(record):
            return None
        self._cut = None
        what = "a stack trace" if calls or ended else "a death" if died else "a register dump"
        self._found += 1
        about = self._about(record) if self._found <= MOST_NAMED else "many others"
        return _splat(record, f"{what} that no report explains, after: {about}")

    def _goes_on(self, record: Record, calls: bool) -> bool:
        """Whether this is one more part of the trace that was begun; a second list of calls is a second trace."""
        near = self._trace is not None and record.line - self._trace.line <= ONE_TRACE_LINES
        return near and not (calls and self._calls)

    def _of_a_program(self, record: Record) -> bool:
        return self._user is not None and record.line - self._user.line <= 10 and "RIP" not in record.text

    def _explained(self, record: Record) -> bool:
        if self._report and (
            _within(self._report, record, REPORT_LINES, 0) or _within(self._report, record, 0, REPORT_S)
        ):
            self._report = record
            return True
        while self._credits:
            if _within(self._credits.popleft(), record, TRACE_LINES, TRACE_S):
                return True
        return False

    def _about(self, record: Record) -> str:
        """The nearest line above that says something, which neither a frame nor a register does."""
        for above in self.before(record.at, 30):
            if above.kernel and above.text.strip(_RULES) not in ("", "cut here") and not _BESIDE.match(above.text):
                return above.text.strip()
        return "nothing"


def _within(first: Record, then: Record, lines: int, seconds: float) -> bool:
    """Near by lines and by time; a bound of 0 is none, and without stamps lines alone count."""
    if lines and then.line - first.line > lines:
        return False
    if not seconds:
        return True
    if first.t is None or then.t is None:
        return bool(lines)
    return then.t - first.t <= seconds


def _splat(record: Record, title: str) -> Splat:
    return Splat("unexplained", titled(title), False, record.line, record.t, Grade.UNEXPLAINED)
