"""A serial console: bytes in, OOM kills and kernel faults out.

The bytes may hold ANSI codes, carriage returns, time stamps (`[   12.345678]`), caller tags (`[    T123]`, with
CONFIG_PRINTK_CALLER) and several messages run together on one line, so a line is first cut at its time stamps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lab.evidence.model import Console, Constraint, OomKill, Splat


@dataclass(frozen=True)
class Message:
    """One printk record, or one piece of other output. `t` in seconds since boot."""

    line: int
    t: float | None
    text: str


@dataclass(frozen=True)
class Sign:
    """What a kind of kernel fault looks like. A pattern starting with ^ must open the message."""

    kind: str
    pattern: re.Pattern[str]
    fatal: bool = False


def _sign(kind: str, pattern: str, *, fatal: bool = False) -> Sign:
    return Sign(kind, re.compile(pattern), fatal)


SIGNS: tuple[Sign, ...] = (
    # First match wins, so the special comes before the general. Sources in the kernel tree are beside each row.
    _sign("panic", r"Kernel panic - not syncing", fatal=True),  # kernel/panic.c
    _sign("panic", r"PANIC: double fault", fatal=True),  # arch/x86/kernel/traps.c
    _sign("soft-lockup", r"BUG: soft lockup - CPU#\d+"),  # kernel/watchdog.c
    _sign("hard-lockup", r"Watchdog detected hard LOCKUP", fatal=True),  # kernel/watchdog.c
    _sign("workqueue-lockup", r"BUG: workqueue lockup"),  # kernel/workqueue.c
    _sign("kasan", r"BUG: KASAN: |^KASAN: "),  # mm/kasan/report.c
    _sign("kfence", r"BUG: KFENCE: "),  # mm/kfence/report.c
    _sign("kmsan", r"BUG: KMSAN: "),
    _sign("kcsan", r"BUG: KCSAN: "),
    _sign("oops", r"BUG: unable to handle ", fatal=True),  # arch/x86/mm/fault.c
    _sign("oops", r"BUG: kernel NULL pointer dereference", fatal=True),  # the same, since v5.0
    _sign("oops", r"Unable to handle kernel ", fatal=True),  # arch/arm64/mm/fault.c
    _sign("oops", r"kernel BUG at \S+:\d+!", fatal=True),  # lib/bug.c
    # User programs get `traps: NAME[PID] general protection fault ip:...`, which is theirs, not the kernel's.
    _sign("gpf", r"general protection fault(?:, |: )", fatal=True),  # arch/x86/kernel/traps.c
    _sign("oops", r"\bOops\b.*?: |\bOops: ", fatal=True),
    _sign("oops", r": [0-9a-f]{4,16} \[#\d+\]", fatal=True),  # any other die(): `invalid opcode: 0000 [#1]`
    _sign("hung-task", r"INFO: task .{1,40}:\d+ blocked (?:for more than|in I/O wait for)"),  # kernel/hung_task.c
    _sign("rcu-stall", r"INFO: rcu_\w+ (?:self-)?detected (?:expedited )?stall"),  # kernel/rcu/tree_stall.h
    _sign("rcu-stall", r"rcu_\w+ kthread (?:starved|timer wakeup didn't happen)"),
    _sign("lockdep", r"^INFO: (?:trying to register non-static key|possible |inconsistent )"),
    _sign("ubsan", r"^UBSAN: "),  # lib/ubsan.c
    _sign("leak", r"kmemleak: \d+ new suspected memory leaks"),
    _sign("leak", r"unregister_netdevice: waiting for \S+ to become free"),  # net/core/dev.c
    _sign("slub", r"^BUG \S+ \((?:Not tainted|Tainted)"),  # mm/slub.c
    _sign("bug", r"BUG: Bad (?:page|rss-counter|pagetable|swap)"),  # mm/page_alloc.c, kernel/fork.c
    _sign("bug", r"^page dumped because: VM_BUG_ON"),  # mm/debug.c
    _sign("bug", r"^BUG: |^\*\*\* BUG"),
    # Up to 6.17 `WARNING: CPU: 0 PID: 1 at mm/x.c:1 f+0x0`, later `WARNING: mm/x.c:1 at f+0x0, CPU#0: task/1`.
    _sign("warning", r"WARNING: CPU: \d+ PID: \d+|WARNING: \S+:\d+ at "),  # kernel/panic.c, __warn()
    # lockdep and RCU print their own words after it. Mitigation notices (`Spectre V2 : WARNING: ...`) do not open so.
    _sign("warning", r"^WARNING: "),
)
"""No benign message is excused: none of the lab's kernels prints one of these while it boots."""

FAULT_TAINTS = {"B": "bad page", "D": "died", "L": "soft lockup", "W": "warned"}
"""Taint flags that say an earlier fault happened; Documentation/admin-guide/tainted-kernels.rst."""

_STAMP = re.compile(r"(?:<\d+>)?\[ *(\d+\.\d{6})\](?:\[ *[TC]\d+\])? ?")
_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[()][0-9A-Za-z]|[=>78cDEHM])")
_TAINT = re.compile(r"Tainted: ([A-Z][A-Z ]*)")
_REPORT = re.compile(r"oom-kill:constraint=CONSTRAINT_(\w+)\b(.*)")
_REPORT_TASK = re.compile(r"task=(.*),pid=(\d+),uid=\d+")
_KILLED = re.compile(r"(Memory cgroup out|Out) of memory(?: \([^)]*\))?: Killed process (\d+) \((.*?)\)(?: |,|$)")


def parse_console(path: str, data: bytes) -> Console:
    """Every fault and every OOM kill, with line numbers from 1. Never raises: any bytes are a console."""
    found = tuple(messages(data))
    return Console(path, _kills(found), _splats(found), data.count(b"\n") + (not data.endswith(b"\n") and data != b""))


def messages(data: bytes) -> Iterator[Message]:
    """The records of a console, in order; one line may hold several."""
    for number, raw in enumerate(data.split(b"\n"), 1):
        text = _ESCAPE.sub("", raw.decode("utf-8", "replace")).replace("\x00", "")
        for piece in text.split("\r"):
            yield from _records(number, piece)


def _records(line: int, text: str) -> Iterator[Message]:
    """Cut at time stamps: `ready[   1.5] BUG: ...` is two records."""
    head, *rest = _STAMP.split(text)
    if head.strip():
        yield Message(line, None, head)
    for stamp, message in zip(rest[::2], rest[1::2], strict=True):
        yield Message(line, float(stamp), message)


def _splats(found: tuple[Message, ...]) -> tuple[Splat, ...]:
    splats: list[Splat] = []
    for message in found:
        if splats and message.text.startswith("---[ end "):
            continue  # the closing line of what is told already
        splat = _splat(message) or (None if splats else _taint(message))
        if splat:
            splats.append(splat)
    return tuple(splats)


def _splat(message: Message) -> Splat | None:
    for sign in SIGNS:
        if match := sign.pattern.search(message.text):
            title = message.text[match.start() :].lstrip(": ").strip()
            return Splat(sign.kind, title, sign.fatal, message.line, message.t)
    return None


def _taint(message: Message) -> Splat | None:
    """A fault that this console never showed: the kernel says that there was one (an OOM report carries the flags)."""
    match = _TAINT.search(message.text)
    flags = [FAULT_TAINTS[f] for f in (match[1] if match else "") if f in FAULT_TAINTS]
    if not flags:
        return None
    return Splat("taint", f"the kernel had {' and '.join(flags)} before", False, message.line, message.t)


@dataclass(frozen=True)
class _Report:
    """The `oom-kill:` line of mm/oom_kill.c, dump_oom_victim(). It is rate limited and at level info."""

    constraint: Constraint
    oom_memcg: str
    task_memcg: str
    task: str
    pid: int


def _kills(found: tuple[Message, ...]) -> tuple[OomKill, ...]:
    """One per `Killed process` line, told more by the report before it; a report left alone counts as well."""
    kills: list[OomKill] = []
    waiting: dict[int, tuple[_Report, Message]] = {}
    for message in found:
        if report := _report(message.text):
            waiting[report.pid] = (report, message)
        elif match := _KILLED.search(message.text):
            pid = int(match[2])
            said = waiting.pop(pid, None)
            constraint = Constraint.MEMCG if match[1].startswith("Memory") else Constraint.GLOBAL
            kills.append(_kill(said[0] if said else _Report(constraint, "", "", match[3], pid), message))
    kills.extend(_kill(report, message) for report, message in waiting.values())
    return tuple(sorted(kills, key=lambda k: k.line))


def _report(text: str) -> _Report | None:
    match = _REPORT.search(text)
    task = _REPORT_TASK.search(match[2]) if match else None
    if not match or not task:
        return None
    constraint = Constraint.MEMCG if match[1] == "MEMCG" else Constraint.GLOBAL
    before = match[2][: task.start()]
    return _Report(constraint, _path(before, "oom_memcg"), _path(before, "task_memcg"), task[1], int(task[2]))


def _path(text: str, key: str) -> str:
    match = re.search(rf",{key}=([^,]*)", text)
    return match[1] if match else ""


def _kill(report: _Report, message: Message) -> OomKill:
    return OomKill(
        report.constraint,
        report.oom_memcg,
        report.task_memcg,
        report.task,
        report.pid,
        message.line,
        message.t,
    )
