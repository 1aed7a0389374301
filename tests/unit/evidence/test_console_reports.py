# SPDX-License-Identifier: GPL-2.0-only
"""Every class of report that a kernel may print, one file each; and what looks like one and is none.

k-NAME   a kernel that says this is not healthy, of a kind in the table; a grade follows where it is not FAULT.
fp-NAME  no fault of the kernel: no splat at all.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lab.evidence import traces
from lab.evidence.console import parse_console
from lab.evidence.model import Grade
from lab.evidence.records import Reader
from lab.evidence.signs import SIGNS, Sign

REPORTS = Path(__file__).parents[2] / "corpus" / "reports"

EXPECTED = {
    "allocation:told": "allocation-old allocation-percpu allocation-stall allocation-vmalloc page-allocation-failure",
    "allocation:told unexplained:unexplained": "unknown-after-allocation",
    "bug": (
        "bad-page-cache bug-stars bad-page-map bad-page-state bad-pgtables bad-pmd bad-rss-counter bad-swap "
        "busy-inodes dentry ftrace iounmap jump-label memory-leak no-stamps page-dumped preemptible scheduling-atomic "
        "sleeping spinlock syslog unused-swap vmap-tree workqueue-leaked-old workqueue-leaked"
    ),
    "cfi": "cfi-old cfi endbr",
    "corruption": "data-corruption list-add list-del list-double page-single-bit pagealloc-corruption stack-overran",
    "corruption netdev-watchdog": "caller-tag",
    "csd-lockup": "csd-lock",
    "dropped:unexplained": "dropped",
    "hard-lockup": "hard-lockup",
    "hardware:unexplained": "hardware-memory hardware hardware-edac nmi",
    "hung-task": "hung-task-io",
    "irq": "irq-bogus irq-nobody-cared",
    "kcsan": "kcsan",
    "kfence": "kfence",
    "kmsan": "kmsan",
    "kobject": (
        "kobject-eexist kobject-empty-name kobject-ktype kobject-put kobject-release kobject-uninitialized "
        "kobject proc-registered sysfs-duplicate"
    ),
    "leak": "kmemleak neighbour-leakage ref-released ref-leaked ref-tracker unregister-netdevice",
    "lockdep": (
        "invalid-wait-context lockdep-leaving lockdep-chain-key lockdep-circular lockdep-contention "
        "lockdep-inconsistent lockdep-irq-inversion lockdep-lock-freed lockdep-locks-held lockdep-nested "
        "lockdep-old-circular "
        "lockdep-old-inconsistent lockdep-old-lock-freed lockdep-old-locks-held lockdep-old-rcu lockdep-old-"
        "unlock-balance lockdep-old-user-space lockdep-rcu lockdep-recursive lockdep-softirq-unsafe lockdep-"
        "unlock-balance lockdep-user-space lockdep-wait-context"
    ),
    "lockdep lockdep": "lockdep-non-static-key lockdep-subclass lockdep-too-low",
    "net": "alive-inet neighbour-timer assertion dead-loop hw-csum neighbour recvmsg-bug skb-over tcp-release",
    "netdev-watchdog": "netdev-watchdog-old netdev-watchdog",
    "odebug": "odebug-stack odebug",
    "oops": (
        "divide-cut arm64-bad-mode arm64-internal arm64-paging arm64-serror arm64-stack bug-condition bug-no-verbose "
        "divide-612 divide invalid-opcode recursive-fault stack-guard stack-segment"
    ),
    "page-pool": "page-pool-refcnt page-pool-stalled",
    "panic": "double-fault early-exception stack-end stack-protector",
    "rcu-stall": "rcu-expedited rcu-starved rcu-tasks",
    "reboot": "second-boot-loader second-boot",
    "reboot:unexplained": "second-boot-silent",
    "refcount": "percpu-ref refcount",
    "refused:told": "allocation-slub allocation-vmap",
    "sched": "idle-thread schedule-timeout",
    "slub": "slub-overwritten slab-corruption slab-error slub-freed-twice slub-padding slub-poison slub-redzone",
    "soft-lockup": "soft-lockup-old",
    "ubsan": "ubsan-old ubsan",
    "unexplained:unexplained": (
        "no-stamps-unknown unknown-after-oom unknown-after-program unknown-arm64 unknown-backtrace unknown-"
        "call-trace unknown-cut unknown-death unknown-end unknown-registers-arm64 unknown-registers-lost "
        "unknown-registers unknown-warning"
    ),
    "usercopy": "usercopy-write usercopy",
    "warning": "unwinder warning-418 warning-condition warning-old",
}

KINDS = {name: tuple(kinds.split()) for kinds, names in EXPECTED.items() for name in names.split()}
KNOWN = sorted(log.stem[2:] for log in REPORTS.glob("k-*.log"))
HARMLESS = sorted(log.stem for log in REPORTS.glob("fp-*.log"))


def _read(name: str) -> bytes:
    return (REPORTS / f"{name}.log").read_bytes()


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_not_healthy_is_told(name: str) -> None:
    splats = parse_console("c", _read(f"k-{name}")).splats
    told = tuple(s.kind if s.grade is Grade.FAULT else f"{s.kind}:{s.grade}" for s in splats)
    assert told == KINDS[name]


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_harmless_is_no_splat(name: str) -> None:
    assert parse_console("c", _read(name)).splats == ()


def test_every_row_of_the_table_has_a_report_that_no_row_before_it_knows() -> None:
    """A row that nothing needs, or that another hides, is found here; and so is one whose needle is wrong."""
    lines = [line for log in REPORTS.parent.glob("*/*.log") for line in log.read_bytes().splitlines()]
    records = [record for line in lines for record in Reader.of(line).records([b""], [])]
    first = {next((n for n, sign in enumerate(SIGNS) if sign.splat(record)), None) for record in records}
    assert [SIGNS[n].pattern.pattern for n in range(len(SIGNS)) if n not in first] == []


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.needle)
def test_no_pattern_repeats_without_a_bound(sign: Sign) -> None:
    """A star or a plus behind plain words is quadratic over a line of those words."""
    assert not re.search(r"(?<!\\)(?:[.\])]|\\[a-zA-Z])[*+]", sign.pattern.pattern.removeprefix("^(?:=+ )?"))


def test_the_trace_of_an_unknown_report_names_the_line_before_it() -> None:
    (splat,) = parse_console("c", _read("k-unknown-call-trace")).splats
    assert splat.title == ("a stack trace that no report explains, after: frobnicator: the third wheel is loose")


def test_a_trace_long_after_a_fault_is_no_part_of_it() -> None:
    fault = b"[   10.000000] BUG: soft lockup - CPU#0 stuck for 26s! [zc-client:231]\n[   10.100000] Call Trace:\n"
    near = fault + b"[   11.000000] Call Trace:\n"
    far = fault + b"[   15.000000] a line\n" * (traces.REPORT_LINES + 1) + b"[   30.000000] Call Trace:\n"
    assert [s.kind for s in parse_console("c", near).splats] == ["soft-lockup"]
    assert [s.kind for s in parse_console("c", far).splats] == ["soft-lockup", "unexplained"]


def test_a_failed_allocation_explains_one_trace_and_only_near_it() -> None:
    failed = b"[   10.000000] x: page allocation failure: order:0, mode:0xcc0(GFP_KERNEL)\n"
    trace = b"[   %d.000000] Call Trace:\n"
    one = parse_console("c", failed + trace % 11).splats
    two = parse_console("c", failed + trace % 11 + trace % 12).splats
    late = parse_console("c", failed + trace % 25).splats
    assert [[s.kind for s in splats] for splats in (one, two, late)] == [
        ["allocation"],
        ["allocation", "unexplained"],
        ["allocation", "unexplained"],
    ]
