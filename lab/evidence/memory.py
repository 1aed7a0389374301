"""Which memory of a guest nothing explains. The arithmetic of the second witness."""

from __future__ import annotations

from lab.evidence.model import Evidence, Sample
from lab.units import PAGE_SIZE

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
"""Left out on purpose: Mapped (pages mapped by TCP_ZEROCOPY_RECEIVE show there, and they are what we look for),
Mlocked and Unevictable (overlap with the LRU), SwapCached and Zswap (no swap here), MemAvailable (an estimate)."""

RECLAIMABLE_VMSTAT = ("nr_netpool_cached",)
"""Counters of /proc/vmstat, in pages, for network pages that a kernel under test caches and gives back."""


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
    cached = sum(sample.vmstat.get(key, 0) for key in RECLAIMABLE_VMSTAT) * PAGE_SIZE
    return max(0, misc, cached)


def baseline(evidence: Evidence) -> Sample | None:
    """The receiver before the clients: the checkpoint of that name, or else the run's first sample."""
    return evidence.receiver.checkpoint("baseline") or next(iter(evidence.receiver.samples), None)


def gone(sample: Sample, start: Sample) -> int:
    """Growth of unexplained memory since `start`, in bytes; below zero when memory came back from before it."""
    return unexplained(sample) - unexplained(start)
