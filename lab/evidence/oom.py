# SPDX-License-Identifier: GPL-2.0-only
"""OOM reports of a console, as every kernel since 2.6.32 words them: one kill for each process that was killed.

Up to 5.0 a report says `Task in A killed as a result of limit of B` (memcg), then `Kill process P` of the process that
was chosen, then `Killed process V` of that one or of a child in its place. From 5.0 it says
`oom-kill:constraint=...,task=T,pid=P` at level info, rate limited, and from 5.1 only `Killed process P`
(mm/oom_kill.c, mm/memcontrol.c).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.evidence.model import Constraint, OomKill
from lab.evidence.records import Record
from lab.text.words import TITLE, printable
from lab.units import KIB

MOST_KILLS = 1000
NEAR_LINES, NEAR_S = 400, 30.0
"""How far behind its report a kill may stand: the table of tasks lies between them."""

_ANY = r"(Memory cgroup out|Out) of [Mm]emory(?: \([^)]{0,60}\))?: "
_INVOKED = re.compile(r" invoked oom-killer: ")
_LIMIT = re.compile(r"^Task in (.{1,1024}) killed as a result of limit of (.{1,1024})$")
_GROUP = re.compile(r"^Tasks in (.{1,1024}) are going to be killed due to memory\.oom\.group set")
_USAGE = re.compile(r"^memory: usage (\d{1,18})kB, limit (\d{1,18})kB")
_REPORT = re.compile(r"oom-kill:constraint=CONSTRAINT_(\w{1,20})")
_TASK = re.compile(r",task=(.{0,64}),pid=(\d{1,10}),uid=-?\d{1,10}\s*$")
_EXITING = re.compile(rf"{_ANY}OOM victim (\d{{1,10}}) ")
_CHOSEN = re.compile(rf"{_ANY}[Kk]ill process (\d{{1,10}}) \((.{{0,64}})\)(?: score| or )")
_KILLED = re.compile(rf"(?:{_ANY}|^)Killed process (\d{{1,10}})(?:, UID -?\d{{1,10}},)? \((.{{0,64}})\)(?: |,|\.|$)")
_HELD = re.compile(r"(total-vm|anon-rss|file-rss|shmem-rss|pgtables):(\d{1,16})kB")

NEEDLES = (
    "invoked oom-killer",
    "killed as a result of limit of",
    "are going to be killed due to memory.oom.group",
    "memory: usage ",
    "oom-kill:constraint=",
    "OOM victim ",
    "ill process ",
    "Killed process ",
)


@dataclass
class _Report:
    """What a report said before the line that kills. `seen` is where it was last added to."""

    seen: Record
    constraint: Constraint | None = None
    oom_memcg: str = ""
    task_memcg: str = ""
    task: str = ""
    pid: int = 0
    whole: bool = False
    usage: int | None = None
    limit: int | None = None


@dataclass
class Kills:
    """Collects the kills of a console, record by record."""

    found: list[OomKill] = field(default_factory=list)
    dropped: int = 0
    _now: _Report | None = None
    _waiting: list[_Report] = field(default_factory=list)
    _group: _Report | None = None
    _last: dict[tuple[int, str], Record] = field(default_factory=dict)

    def begins(self, record: Record) -> bool:
        """Whether a report begins here, whose stack trace follows."""
        return record.kernel and _INVOKED.search(record.text) is not None

    def take(self, record: Record) -> None:
        if not record.kernel or not any(needle in record.text for needle in NEEDLES):
            return
        text = record.text
        if self.begins(record):
            self._settle()
            self._now, self._group = _Report(record), None
        elif match := _LIMIT.match(text.rstrip()):
            report = self._current(record)
            report.constraint, report.task_memcg, report.oom_memcg = Constraint.MEMCG, match[1], match[2]
        elif match := _USAGE.match(text):
            report = self._current(record)
            report.usage, report.limit = int(match[1]) * KIB, int(match[2]) * KIB
        elif match := _REPORT.search(text):
            self._report(record, match)
        else:
            self._end(record)

    def done(self) -> tuple[OomKill, ...]:
        """All of them; what was announced and never said to be done counts as well."""
        self._settle()
        return tuple(sorted(self.found, key=lambda k: k.line))

    def _current(self, record: Record) -> _Report:
        self._now = self._now or _Report(record)
        self._now.seen = record
        return self._now

    def _report(self, record: Record, match: re.Match[str]) -> None:
        """`oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,...`

        5.0-rc1 says CONSTRAINT_NONE of a memcg's limit too. The kernel cuts a record at 1 KiB: the task may be missing.
        """
        rest = record.text[match.end() :]
        task = _TASK.search(rest)
        report = self._current(record)
        before = rest[: task.start()] if task else rest
        before, _, report.task_memcg = before.partition(",task_memcg=")
        report.oom_memcg = before.partition(",oom_memcg=")[2]
        limited = match[1] == "MEMCG" or bool(report.oom_memcg)
        report.constraint = Constraint.MEMCG if limited else Constraint.GLOBAL
        report.whole = True
        if task:
            report.task, report.pid = task[1], int(task[2])
        if len(self._waiting) < MOST_KILLS:
            self._waiting.append(report)
        self._now = None

    def _end(self, record: Record) -> None:
        """The line that names the victim, or says that there is none."""
        if match := _GROUP.match(record.text):
            self._group = _Report(record, Constraint.MEMCG, task_memcg=match[1])
            self._group.oom_memcg = self.found[-1].oom_memcg if self.found else match[1]
        elif match := _EXITING.search(record.text):
            self._about(record, int(match[2]))
        elif match := _KILLED.search(record.text):
            self._killed(record, match)
        elif match := _CHOSEN.search(record.text):
            report = self._about(record, int(match[2])) or _Report(record)
            report.seen, report.task, report.pid, report.whole = record, match[3], int(match[2]), False
            report.constraint = _constraint(match[1]) or report.constraint
            self._waiting.append(report)

    def _killed(self, record: Record, match: re.Match[str]) -> None:
        pid, task = int(match[2]), match[3]
        report = self._about(record, pid) or self._group or _Report(record)
        constraint = _constraint(match[1]) or report.constraint or Constraint.GLOBAL
        held = {key: int(value) * KIB for key, value in _HELD.findall(record.text[match.end() - 1 :])}
        self._add(report, record, constraint, (task, pid), held)

    def _about(self, record: Record, pid: int) -> _Report | None:
        """The report that a line about a process ends: one that names it, or else the nearest before it."""
        named = next((r for r in self._waiting if r.pid == pid), None)
        nearest = next((r for r in reversed(self._waiting) if _near(r.seen, record) and _may_be_another(r)), None)
        report = named or self._now or nearest
        if report in self._waiting:
            self._waiting.remove(report)
        elif report is self._now:
            self._now = None
        return report

    def _settle(self) -> None:
        """Announcements that nothing followed."""
        for report in self._waiting:
            if report.pid:
                constraint = report.constraint or Constraint.GLOBAL
                self._add(report, report.seen, constraint, (report.task, report.pid), {})
        self._waiting.clear()

    def _add(
        self,
        report: _Report,
        record: Record,
        constraint: Constraint,
        victim: tuple[str, int],
        held: Mapping[str, int],
    ) -> None:
        task = report.task if report.whole and report.pid == victim[1] else victim[0]
        before = self._last.get((victim[1], task))
        if before and _near(before, record):
            return  # told twice: by a second console, or once more as a member of a group that is killed whole
        if len(self.found) >= MOST_KILLS:
            self.dropped += 1
            return
        self._last[victim[1], task] = record
        self.found.append(
            OomKill(
                constraint,
                printable(report.oom_memcg, 1024),
                printable(report.task_memcg, 1024),
                printable(task, TITLE),
                victim[1],
                record.line,
                record.t,
                usage=report.usage,
                limit=report.limit,
                total_vm=held.get("total-vm"),
                anon=held.get("anon-rss"),
                file=held.get("file-rss"),
                shmem=held.get("shmem-rss"),
                page_tables=held.get("pgtables"),
            )
        )


def _constraint(words: str | None) -> Constraint | None:
    if not words:
        return None
    return Constraint.MEMCG if words.startswith("Memory") else Constraint.GLOBAL


def _near(first: Record, then: Record) -> bool:
    if first.t is not None and then.t is not None:
        return then.t - first.t <= NEAR_S
    return then.line - first.line <= NEAR_LINES


def _may_be_another(report: _Report) -> bool:
    """Up to 5.0 a child may be killed in the place of the process chosen; a cut report names nobody."""
    return not report.pid or not report.whole
