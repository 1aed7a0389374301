# SPDX-License-Identifier: GPL-2.0-only
"""Which memory of a guest nothing explains. The arithmetic of the second witness."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lab.evidence.model import CgroupSample, Evidence, Sample
from lab.units import MIB, PAGE_SIZE

REST = 0.4
"""Seconds over which nothing may have moved before it is said to be at rest."""

EXPLAINED: tuple[tuple[str, str], ...] = (
    # Lines of /proc/meminfo that name an owner and do not overlap; Documentation/filesystems/proc.rst.
    ("Buffers", "page cache of block devices"),
    ("Cached", "page cache; Shmem is inside it, so it is not added again"),
    ("AnonPages", "mapped anonymous memory; AnonHugePages is inside it"),
    ("Slab", "SReclaimable and SUnreclaim"),
    ("PageTables", "page tables of processes"),
    ("SecPageTables", "page tables of virtual machines and IOMMUs; since v6.1"),
    ("Percpu", "backing of the per-CPU allocator, mapped into vmalloc space but not counted as VmallocUsed"),
    ("VmallocUsed", "vmalloc; KernelStack is inside it with CONFIG_VMAP_STACK, so it is not added again"),
)
"""Left out on purpose: Mapped (network pages that are mapped show there, and they may be what we look for),
Mlocked and Unevictable (overlap with the LRU), SwapCached and Zswap (no swap here), MemAvailable (an estimate)."""

USED, CACHED = (re.compile(rf"nr_[a-z0-9_]+_{what}") for what in ("used", "cached"))
"""Counters of /proc/vmstat, in pages, for the network's own pages: those in use, and those that a kernel under test
caches and gives back. No mainline kernel has one of either form, and one that caches pages must have the second."""


def unexplained(sample: Sample) -> int:
    """Bytes in use that no counter names an owner for; pages on per-CPU free lists are free, though MemFree lacks them.

    Pages a driver handed to a socket, and pages mapped or pinned from there, are among them, charged or not.
    """
    known = sum(sample.meminfo.get(key, 0) for key, _ in EXPLAINED) + _misc_reclaimable(sample)
    in_use = sample.meminfo["MemTotal"] - sample.meminfo["MemFree"] - sample.pcp_pages * PAGE_SIZE
    return in_use - known


def _misc_reclaimable(sample: Sample) -> int:
    """Kernel pages outside slab that a shrinker gives back: available to new allocations, so not gone.

    KReclaimable holds SReclaimable and NR_KERNEL_MISC_RECLAIMABLE. A kernel may say it either way, hence the larger.
    """
    misc = sample.meminfo.get("KReclaimable", 0) - sample.meminfo.get("SReclaimable", 0)
    return max(0, misc, pool_pages(sample, CACHED) * PAGE_SIZE)


def pool_pages(sample: Sample, kind: re.Pattern[str]) -> int:
    """Pages by all counters of that form."""
    return sum(pages for key, pages in sample.vmstat.items() if kind.fullmatch(key))


def shows(sample: Sample, kind: re.Pattern[str]) -> bool:
    """Whether the kernel has a counter of that form."""
    return any(map(kind.fullmatch, sample.vmstat))


def cache_unseen(sample: Sample) -> str:
    """For a finding about memory that is gone: which counter was looked for in vain, "" where there is one."""
    told = "; no counter nr_NAME_cached of /proc/vmstat says that the network keeps some (docs/kernels.md)"
    return "" if shows(sample, CACHED) else told


def idle_pages(sample: Sample) -> int:
    """Pages that look used to /proc/kpageflags and are nobody's: on a CPU's free list, or in the network's pool."""
    return sample.pcp_pages + pool_pages(sample, CACHED)


def beyond_free(sample: Sample) -> int:
    """Bytes that can be had only if most of the network's cached pages are given back: three quarters of them, and
    all that is free. The page cache is there too, but is much smaller than what a case puts into the pool."""
    return sample.meminfo["MemFree"] + pool_pages(sample, CACHED) * PAGE_SIZE * 3 // 4


def baseline(evidence: Evidence) -> Sample | None:
    """The guest under test before the clients: the checkpoint of that name, or else the run's first sample."""
    return evidence.tested.checkpoint("baseline") or next(iter(evidence.tested.samples), None)


def gone(sample: Sample, start: Sample) -> int:
    """Growth of unexplained memory since `start`, in bytes; below zero when memory came back from before it."""
    return unexplained(sample) - unexplained(start)


def but_cache(group: CgroupSample) -> int:
    """Charge but for page cache: a program whose text was evicted and read again pays for it, and so does its cgroup
    when it has gone, until somebody needs the memory."""
    return group.current - group.stat.get("file", 0)


HELD_BACK = 64 * PAGE_SIZE
"""Charge that a CPU may hold back for a cgroup (MEMCG_CHARGE_BATCH of include/linux/memcontrol.h)."""


def is_bare(sample: Sample, name: str) -> bool:
    """Whether a cgroup has no process, and is charged for no more than a CPU may hold back."""
    group = sample.cgroups.get(name)
    return group is not None and not group.procs and but_cache(group) <= HELD_BACK


NAMED = ("anon", "file", "kernel", "sock")
"""Kinds of memory.stat that do not overlap; `kernel` holds slab, stacks, page tables, per-CPU and vmalloc memory
(since v5.18, commit a8c49af3be5f). Network pages that a kernel under test charges are of none of them."""


def unnamed(group: CgroupSample) -> int:
    """Bytes of a cgroup's charge of which memory.stat does not say what they are."""
    return group.current - sum(group.stat.get(kind, 0) for kind in NAMED)


def stays(now: Sample, start: Sample) -> int | None:
    """Growth of the unnamed charge above the clients' cgroups since `start`, bytes; None where that was not told."""
    return None if now.parent is None or start.parent is None else unnamed(now.parent) - unnamed(start.parent)


def nothing_stays(now: Sample, start: Sample) -> bool:
    """Whether all is gone from the parent that clients were charged for, down to a page. Once their cgroups are
    removed no CPU holds charge back for them (drain_all_stock() of mem_cgroup_css_offline())."""
    left = stays(now, start)
    return left is not None and left < PAGE_SIZE


def is_at_rest(samples: Sequence[Sample], name: str) -> bool:
    """Whether the charge of a cgroup has moved by less than 1 MiB over the last REST seconds; not if they are fewer."""
    there = [s for s in samples if name in s.cgroups]
    before = [i for i, s in enumerate(there) if there[-1].t - s.t >= REST]
    charges = [s.cgroups[name].current for s in there[before[-1] :]] if before else []
    return bool(charges) and max(charges) - min(charges) < MIB
