# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel says that a healthy one does not: a table, and what a record that matches it becomes.

Sources are beside the rows; they were read in Linux 6.12, and older and newer wordings were added. Each row has a
needle, words that stand in all that its pattern matches: a console is searched for needles, and only what holds one is
matched. A pattern begins with ^ or with plain letters and repeats nothing without a bound: no line costs more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from lab.evidence.model import Grade, Splat
from lab.evidence.records import Record
from lab.text.words import titled


@dataclass(frozen=True)
class Sign:
    """A kind of report. A pattern starting with ^ must open the record.

    plain  the words are ones that programs use too: they count on the kernel's own records alone
    """

    kind: str
    needle: str
    pattern: re.Pattern[str]
    fatal: bool = False
    grade: Grade = Grade.FAULT
    plain: bool = False

    def splat(self, record: Record) -> Splat | None:
        if self.needle not in record.text or (self.plain and not record.kernel):
            return None
        match = self.pattern.search(record.text)
        if not match:
            return None
        title = titled((record.text if self.plain else record.text[match.start() :]).lstrip(": "))
        return Splat(self.kind, title, self.fatal, record.line, record.t, self.grade)


def _fatal(kind: str, needle: str, pattern: str = "", *, plain: bool = False) -> Sign:
    return Sign(kind, needle, re.compile(pattern or re.escape(needle)), fatal=True, plain=plain)


def _sure(kind: str, needle: str, pattern: str = "") -> Sign:
    return Sign(kind, needle, re.compile(pattern or re.escape(needle)))


def _plain(kind: str, needle: str, pattern: str = "", grade: Grade = Grade.FAULT) -> Sign:
    return Sign(kind, needle, re.compile(pattern or re.escape(needle)), grade=grade, plain=True)


_LOCKDEP = "|".join(
    (
        # kernel/locking/lockdep.c; up to 4.12 as `[ INFO: ... ]` and `[ BUG: ... ]`, later as `WARNING: ...`
        r"possible (?:circular locking|recursive locking|irq lock inversion)",
        r"\S{1,20}-safe -> \S{1,20}-unsafe lock order",
        r"(?:possible )?inconsistent lock state",
        r"suspicious (?:RCU usage|rcu_dereference)",
        r"bad (?:unlock balance|contention) detected",
        r"held lock freed",
        r"lock held (?:when returning to user|at task exit)",
        r".{1,40} still has locks held",
        r"[Nn]ested lock was not taken",
        r"chain_key collision",
        r"[Ii]nvalid wait context",
        r"trying to register non-static key",
        r"looking up invalid subclass",
        r"key \S{1,20} has not been registered",
        r"MAX_(?:LOCK|STACK_TRACE)",
    )
)
_EXCEPTIONS = "divide error|invalid opcode|stack segment|int3|bounds|control protection|double fault|alignment check"

SIGNS: tuple[Sign, ...] = (
    # First match wins, so the special comes before the general.
    _fatal("panic", "Kernel panic - not syncing"),  # kernel/panic.c
    _fatal("panic", "PANIC: ", r"PANIC: (?:double fault|early exception)"),  # arch/x86/kernel/traps.c, mm/extable.c
    _sure("soft-lockup", "BUG: soft lockup"),  # kernel/watchdog.c
    _fatal("hard-lockup", "hard LOCKUP", r"(?:Watchdog |self-)detected hard LOCKUP"),  # kernel/watchdog.c
    _sure("workqueue-lockup", "BUG: workqueue lockup"),  # kernel/workqueue.c
    _sure("csd-lockup", "non-responsive CSD lock"),  # kernel/smp.c
    _sure("kasan", "KASAN: ", r"BUG: KASAN: |^KASAN: "),  # mm/kasan/report.c
    _sure("kfence", "BUG: KFENCE: "),  # mm/kfence/report.c
    _sure("kmsan", "BUG: KMSAN: "),  # mm/kmsan/report.c
    _sure("kcsan", "BUG: KCSAN: "),  # kernel/kcsan/report.c
    _fatal("oops", "nable to handle ", r"BUG: [Uu]nable to handle |^Unable to handle "),  # arch/{x86,arm64}/mm/fault.c
    _fatal("oops", "ernel NULL pointer dereference", r"BUG: [Kk]ernel NULL pointer dereference"),  # x86 since v5.0
    _fatal("oops", "ernel BUG at ", r"[Kk]ernel BUG at \S"),  # lib/bug.c
    _fatal("oops", "Internal error: ", r"^Internal error: "),  # arch/arm64/kernel/traps.c
    # User programs get `traps: NAME[PID] general protection fault ip:...`, which is theirs, not the kernel's.
    _fatal("gpf", "general protection fault", r"general protection fault(?:, |: )"),  # arch/x86/kernel/traps.c
    _fatal("oops", "Oops", r"\bOops\b[^:]{0,60}: |\bOops: ", plain=True),
    _fatal("oops", " [#", r": [0-9a-f]{4,16} \[#\d{1,6}\]"),  # any other die()
    _fatal("oops", ": 0000", rf"(?:{_EXCEPTIONS}): 0000\b"),
    _fatal("oops", "stack guard page", r"BUG: .{0,40}stack guard page was hit"),  # arch/x86/kernel/traps.c
    _fatal("oops", "Fixing recursive fault but reboot is needed"),  # kernel/exit.c
    _fatal("oops", "Insufficient stack space to handle exception"),  # arch/arm64/kernel/traps.c
    _fatal("oops", "SError Interrupt on CPU"),
    _fatal("oops", "Bad mode in ", r"^Bad mode in .{1,40} detected", plain=True),
    _fatal("cfi", "CFI failure"),  # kernel/cfi.c
    _fatal("cfi", "Missing ENDBR: ", plain=True),  # arch/x86/kernel/cet.c
    _sure("hung-task", "INFO: task ", r"INFO: task .{1,40}:\d{1,9} (?:is )?blocked "),  # kernel/hung_task.c
    _sure(
        "rcu-stall", " stall", r"INFO: rcu_\w{1,40} (?:self-)?detected (?:expedited )?stall"
    ),  # kernel/rcu/tree_stall.h
    _sure("rcu-stall", " kthread ", r"rcu_\w{1,40} kthread (?:starved|timer wakeup didn't happen)"),
    # Boxes of older kernels and of wait contexts: `[ BUG: Invalid wait context ]`
    _plain("lockdep", "[ BUG: ", r"^\s?\[ BUG: "),
    _plain("lockdep", "[ INFO: ", r"^\s?\[ INFO: "),
    _plain("lockdep", "WARNING: ", rf"^WARNING: (?:{_LOCKDEP})"),
    _plain("lockdep", "INFO: ", rf"^INFO: (?:{_LOCKDEP})"),
    _plain("lockdep", "BUG: ", rf"^BUG: (?:{_LOCKDEP})"),
    _plain("lockdep", "turning off the locking correctness validator"),
    _plain("lockdep", "locks still held", r"^.{1,40} is leaving the kernel with locks still held"),
    _sure("ubsan", "UBSAN: "),  # lib/ubsan.c
    _sure("leak", "new suspected memory leak", r"kmemleak: \d{1,9} new suspected memory leak"),  # mm/kmemleak.c
    _sure("leak", "unregister_netdevice: waiting for "),  # net/core/dev.c
    _plain("leak", "leaked reference"),  # lib/ref_tracker.c
    _plain("leak", " users at", r"@\S{1,20} has \d{1,9}/\d{1,9} users at"),
    _plain("leak", "neighbour leakage"),  # net/core/neighbour.c
    _plain("leak", "reference already released"),
    _plain("page-pool", "stalled pool shutdown"),  # net/core/page_pool.c, page_pool_release_retry()
    _plain("page-pool", "page_pool refcnt "),  # page_pool_release()
    _plain("slub", "BUG ", r"^(?:=+ )?BUG \S.{0,80} \((?:Not tainted|Tainted)"),  # mm/slub.c
    _plain("slub", "lab corruption", r"[Ss]lab corruption"),  # mm/slab.c, up to 6.7
    _plain("slub", "slab error in "),
    _plain("slub", "overwritten", r"(?:Poison|Redzone|Padding|Object padding|[Pp]adding) overwritten"),
    _plain("bug", "BUG: Bad ", r"BUG: Bad (?:page|rss-counter|pagetable|swap)"),  # mm/page_alloc.c, kernel/fork.c
    _sure("bug", "page dumped because: VM_"),  # mm/debug.c
    _plain("bug", "bad p", r"\bbad (?:pgd|p4d|pud|pmd|pte) [0-9a-f(]"),  # include/asm-generic/pgtable, mm/memory.c
    _plain("bug", "wap ", r"\b(?:Bad|Unused) swap (?:file|offset) entry"),  # mm/swapfile.c
    _plain("corruption", "pagealloc: ", r"pagealloc: (?:memory corruption|single bit error)"),  # mm/page_poison.c
    _plain("corruption", "list_", r"\blist_(?:add|del) (?:corruption|double add)"),  # lib/list_debug.c
    _plain("corruption", "Thread overran stack"),  # kernel/sched/core.c
    _plain("corruption", "Possible data corruption"),  # mm/filemap.c
    _plain("usercopy", "Kernel memory ", r"Kernel memory \w{1,12} attempt detected"),  # mm/usercopy.c
    _plain("refcount", "refcount_t: "),  # lib/refcount.c
    _plain("refcount", "percpu", r"percpu[_ ]ref(?:_switch_to_atomic| underflow|.{0,60}<= 0)"),  # lib/percpu-refcount.c
    # lib/debugobjects.c; `Out of memory. ODEBUG disabled` is none
    _plain("odebug", "ODEBUG: ", r"ODEBUG: (?:\w{1,20} (?:active|not |inactive|init|dest|invalid|none|free)|object )"),
    _plain("kobject", "something is seriously wrong", r"kobject.{0,200}something is seriously wrong"),  # lib/kobject.c
    _plain("kobject", "kobject", r"kobject_add_internal failed for |kobject.{0,200}attempted to be registered with"),
    _plain("kobject", "is not initialized, yet ", r"is not initialized, yet kobject_\w{1,20}\(\)"),
    _plain("kobject", "must have a ", r"kobject.{0,200}must have a "),
    _plain("kobject", "is broken and must be fixed", r"does not have a release\(\) function"),
    _plain("kobject", "cannot create duplicate filename"),  # fs/sysfs/dir.c
    _plain("kobject", " already registered", r"^proc_dir_entry .{1,200} already registered"),  # fs/proc/generic.c
    _plain("irq", "nobody cared", r"irq \d{1,6}: nobody cared"),  # kernel/irq/spurious.c
    _plain("irq", "bogus return value", r"irq event \d{1,6}: bogus return value"),
    _plain("netdev-watchdog", "NETDEV WATCHDOG"),  # net/sched/sch_generic.c
    _plain("net", "hw csum failure"),  # net/core/dev.c, netdev_rx_csum_fault()
    _plain("net", " alive ", r"(?:Freeing|Destroying|Attempt to release) alive "),  # net/ipv4, net/ipv6, net/core
    _plain("net", "Attempt to release TCP socket"),  # net/ipv4/af_inet.c
    _plain("net", "_panic: text:", r"skb_(?:over|under)_panic: text:"),  # net/core/skbuff.c
    _plain("net", "double timer add"),  # net/core/neighbour.c
    _plain("net", "Dead loop on virtual device"),  # net/core/dev.c
    _plain("net", "ecvmsg bug", r"recvmsg bug"),  # net/ipv4/tcp.c
    _plain("net", "KERNEL: assertion ", r"KERNEL: assertion .{1,200} failed at"),  # include/net/sock.h, up to 4.x
    _plain("sched", "scheduling from the idle thread"),  # kernel/sched/idle.c
    _plain("sched", "schedule_timeout: wrong timeout"),  # kernel/time/timer.c
    _plain("bug", "ftrace bug ]", r"\[ ftrace bug \]"),  # kernel/trace/ftrace.c
    _plain("bug", "Fatal kernel bug"),  # arch/x86/kernel/jump_label.c
    _plain("bug", "tree is corrupted"),  # mm/vmalloc.c
    _plain("bug", "iounmap: bad address"),  # arch/x86/mm/ioremap.c
    _plain("bug", "Busy inodes after unmount"),  # fs/super.c
    # Any other: `BUG: scheduling while atomic`, `BUG: sleeping function called from invalid context`, ...
    _plain("bug", "BUG:", r"\bBUG:(?: |$)"),
    _plain("bug", "*** BUG", r"^\*\*\* BUG"),
    # kernel/panic.c, __warn(): up to 6.18 `WARNING: CPU: 0 PID: 1 at mm/x.c:1 f+0x0`, later `WARNING: mm/x.c:1 at
    # f+0x0, CPU#0: task/1`, perhaps with the condition in brackets; long ago `WARNING: at mm/x.c:1 f()`.
    _sure("warning", "WARNING: CPU: ", r"WARNING: CPU: \d{1,6} PID: \d"),
    _sure("warning", "WARNING: ", r"WARNING: \S{1,200}:\d{1,9} at "),
    _plain("warning", "WARNING: ", r"^WARNING: (?:at \S{1,200}:\d|.{1,300}, CPU#\d)"),
    _plain("warning", "WARNING: ", r"^WARNING: kernel stack (?:regs|frame pointer) "),  # arch/x86/kernel/unwind_frame.c
    # Any other WARNING: is prose (`the mand mount option is being deprecated`), unless a stack trace follows it.
    # The machine below it, not the kernel. Documentation/admin-guide/RAS
    _plain("hardware", "[Hardware Error]", grade=Grade.UNEXPLAINED),
    _plain("hardware", "Memory failure: 0x", grade=Grade.UNEXPLAINED),  # mm/memory-failure.c
    _plain("hardware", "EDAC ", r"^EDAC MC\d{1,3}: \d{1,9} [CU]E", Grade.UNEXPLAINED),
    _plain("hardware", "NMI", r"^NMI: .{0,40}(?:error|NMI received for unknown)|NMI received for", Grade.UNEXPLAINED),
    Sign(
        "dropped", "messages dropped **", re.compile(r"^\*\* \d{1,19} printk messages dropped"), grade=Grade.UNEXPLAINED
    ),
    # mm/page_alloc.c, warn_alloc(): `zc-client: page allocation failure: order:0, mode:0xcc0(GFP_KERNEL), nodemask=...`
    _plain("allocation", "page allocation ", r"page allocation (?:failure|stall)", Grade.TOLD),
    _plain("allocation", ", mode:0x", r": [^:]{3,200}, mode:0x[0-9a-f]{1,16}\(", Grade.TOLD),
    _plain("allocation", "percpu: allocation failed, ", grade=Grade.TOLD),  # mm/percpu.c
    _plain("refused", "vmap allocation ", r"^vmap allocation .{0,60}failed", Grade.TOLD),  # mm/vmalloc.c
    _plain("refused", "SLUB: Unable to allocate", grade=Grade.TOLD),  # mm/slub.c, and no stack trace
)

FAULT_TAINTS = {"B": "bad page", "D": "died", "L": "soft lockup", "W": "warned"}
"""Taint flags that say an earlier fault happened; Documentation/admin-guide/tainted-kernels.rst."""

TAINTED = "Tainted: "
_TAINT = re.compile(r"Tainted: ([A-Z][A-Z ]{0,40})")


def taint_splat(record: Record) -> Splat | None:
    """A fault that this console never showed: the kernel says that there was one (an OOM report carries the flags)."""
    match = _TAINT.search(record.text) if record.kernel else None
    flags = [FAULT_TAINTS[f] for f in (match[1] if match else "") if f in FAULT_TAINTS]
    if not flags:
        return None
    return Splat("taint", f"the kernel had {' and '.join(flags)} before", False, record.line, record.t)


def sign_splat(record: Record) -> Splat | None:
    """What a record says, by the first row that knows it."""
    return next((splat for sign in SIGNS if (splat := sign.splat(record))), None)
