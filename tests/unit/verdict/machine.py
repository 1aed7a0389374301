# SPDX-License-Identifier: GPL-2.0-only
"""A receiver that exists on paper: enough physics to write telemetry, page counts and console lines of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lab.plan.case import Group
from lab.units import KIB, MIB, PAGE_SIZE

Json = dict[str, Any]

TOTAL = 700 * MIB
POOL = 48 * MIB  # what the network's pool keeps for its next allocations
OWN = MIB // 2  # what a client process is charged for itself
MAPPING = ("hold", "hold-or-copy", "pin-fork", "hold-no-hint", "copybuf")  # they keep all mapped, be it by a child
OVER = ("map-over", "map-over-no-hint")
WINDOW = 16 * MIB  # which these map over and over
COPY = 64 * 1024  # what a client receives by copy after each refusal
RACED = {"unmapped": 5000, "forked": 500, "passed": 300, "limited": 50}
TRUESIZE = 1.25  # memory a queued byte takes, headers and slack included


@dataclass(frozen=True)
class Kernel:
    """How a design charges. `at_limit`: what becomes of a client whose mapped pages reach memory.max.

    `refuse` it gets ENOMEM, `kill` it is killed or else refused, `force` it is killed or else charged all the same.
    pool     a network page pool with counters, which gives back under pressure
    sysctl   there is one for drivers that have not opted in
    """

    mapped: bool = True
    pinned: bool = True
    anon: bool = True
    sock: bool = True
    at_limit: str = "refuse"
    pool: bool = True
    sysctl: bool = True


KERNELS = {
    "stock": Kernel(mapped=False, pinned=False, pool=False, sysctl=False),
    "precharge": Kernel(pinned=False, pool=False, sysctl=False),
    "unmap-hook": Kernel(pinned=False, at_limit="force", pool=False, sysctl=False),
    "put-hook": Kernel(pool=False),
    "pool-return": Kernel(at_limit="kill", sysctl=False),
}


@dataclass
class Client:
    """A client's counters, in bytes, and its cgroup."""

    name: str
    behaviour: str
    limit: int | None
    ino: int
    pid: int
    delivered: int = 0
    mapped: int = 0
    mapped_now: int = 0
    pinned: int = 0
    anon: int = 0
    queued: int = 0
    procs: int = 0
    kills: int = 0
    peak: int = 0
    stuck: int = 0
    refusal: int = 0  # errno that every further page meets, 0: none
    refusals: int = 0
    alive: bool = True
    cgroup: bool = True
    unkillable: bool = False
    twice: int = 0  # charged as sock although it is mapped
    above: str = ""  # the group that its cgroup lies in
    moved_to: str = ""  # the group that its process went to
    before: int = 0  # mapped when it went
    shares_in: str = ""  # the group of a process that maps its socket as well
    partner: int = 0  # mapped by that one
    ways: int = 0  # bytes that came by each way of copying, with a copy buffer
    urgent: int = 0

    @property
    def pages(self) -> int:
        return self.mapped_now + self.partner + self.pinned

    def take(self, size: int, ring: int) -> None:
        self.delivered += size
        if self.behaviour == "copy":
            self.anon = min(self.anon + size, ring or self.anon + size)
            return
        if self.behaviour == "slow":
            self.queued, self.delivered = self.queued + size, 0
            return
        if self.refusal:
            self.refusals += size // COPY
            return
        self.mapped += size
        if self.shares_in:
            self.partner += size // 2
            size -= size // 2
        if self.behaviour in MAPPING:
            self.mapped_now += size
        elif self.behaviour in OVER:
            self.mapped_now = min(WINDOW, self.mapped_now + size)
        elif self.behaviour.startswith("pin-"):
            self.pinned += size

    def drop(self) -> None:
        self.mapped_now = self.pinned = self.anon = self.queued = self.twice = self.partner = 0

    def counters(self) -> Json:
        keys = ("delivered", "mapped", "mapped_now", "pinned", "anon", "queued")
        held = {"copied": self.delivered - self.mapped, "distinct": self.pages, "held": self.pages + self.anon}
        refusals = {"refusals": self.refusals, "refusal": self.refusal if self.refusals else 0}
        more = refusals if self.behaviour == "hold-or-copy" else {}
        more |= {"partner": self.partner} if self.shares_in else {}
        more |= RACED if self.behaviour == "race" else {}
        if self.behaviour == "copybuf":
            more |= dict.fromkeys(("fallback", "straggled", "hinted", "peeked"), self.ways) | {"urgent": self.urgent}
        return {**{key: getattr(self, key) for key in keys}, **held, **more}


@dataclass
class PagePool:
    """What the page pool of the link's driver counts, in pages."""

    left: int = 0
    ring: int = 0
    full: int = 0

    def told(self) -> Json:
        counts = {"recycle_released_refcnt": self.left, "recycle_ring": self.ring, "recycle_ring_full": self.full}
        return {"netdev": "lab0", "counts": {"inflight": 400, **counts}}


@dataclass
class Machine:
    """The receiver's kernel. Time in guest seconds."""

    kernel: Kernel
    clients: dict[str, Client]
    groups: tuple[Group, ...] = ()
    t: float = 100.0
    seq: int = 0
    kills: int = 0
    dying: int = 0
    leak: int = 0
    cached: int = 0
    taken: int = 0
    stalls: int = 0
    page_cache: int = 30 * MIB
    accounted_only: int = 0
    tainted: int = 0
    above: int = 0  # charged to the cgroup above the clients' and to none of them
    shown: int = 0  # lines for the console since the last canary
    driver: PagePool | None = None  # where the link's pages come from a page pool
    telemetry: list[Json] = field(default_factory=list)
    console: list[str] = field(default_factory=list)

    def charge(self, client: Client) -> int:
        kernel = self.kernel
        mapped = min(client.mapped_now, client.before) if client.moved_to else client.mapped_now
        kept = mapped * kernel.mapped + client.pinned * kernel.pinned + client.anon * kernel.anon
        return round(OWN * client.procs + kept + self._sock(client) + client.stuck)

    def group_charge(self, group: Group) -> int:
        """Of a cgroup beside the clients' own: what lies in it, and what a client mapped that went there."""
        below = sum(self.group_charge(g) for g in self.groups if g.within == group)
        below += sum(self.charge(c) for c in self.clients.values() if c.above == group.name)
        came = sum(max(0, c.mapped_now - c.before) for c in self.clients.values() if c.moved_to == group.name)
        came += sum(c.partner for c in self.clients.values() if c.shares_in == group.name)
        return below + came * self.kernel.mapped

    def over_above(self, client: Client, more: int) -> bool:
        """Whether a limit above the client's cgroup would be passed if it mapped so much more."""
        above = next((g for g in self.groups if g.name == client.above), None)
        while above is not None:
            if above.limit and self.group_charge(above) + more * self._grows(client.behaviour) > above.limit:
                return True
            above = above.within
        return False

    def over_high(self, group: Group) -> int:
        """How often the kernel counts that a cgroup is above its memory.high: once a batch of 64 pages."""
        return 0 if group.high is None else max(0, self.group_charge(group) - group.high) // (64 * PAGE_SIZE)

    def _sock(self, client: Client) -> int:
        return round(client.queued * TRUESIZE + client.twice) * self.kernel.sock

    def wants(self, client: Client, size: int, ring: int) -> int:
        """memory.current if the client took `size` more."""
        kept = min(size, ring - client.anon) if ring else size
        return self.charge(client) + kept * self._grows(client.behaviour)

    def _grows(self, behaviour: str) -> bool:
        if behaviour in MAPPING:
            return self.kernel.mapped
        return self.kernel.pinned if behaviour.startswith("pin-") else self.kernel.anon and behaviour == "copy"

    def free(self) -> int:
        return TOTAL - sum(self._explained().values()) - self._unexplained() - self.cached

    def release(self, client: Client) -> None:
        """A client drops everything; the pool keeps what it has room for."""
        if self.kernel.pool:
            self.cached = min(POOL, self.cached + client.pages)
        client.drop()

    def press(self, size: int) -> None:
        """Somebody takes anonymous memory; what is not free comes out of the pool, where that gives."""
        self.cached -= max(0, size + 4 * MIB - self.free())  # a little stays free
        self.taken += size

    def sample(self) -> Json:
        for client in self.clients.values():
            client.peak = max(client.peak, self.charge(client))
        explained = self._explained()
        free = self.free() - 100 * PAGE_SIZE
        return {
            "t": round(self.t, 6),
            "seq": self.seq,
            "meminfo": {"MemTotal": TOTAL, "MemFree": free, **explained},
            "vmstat": {
                "oom_kill": self.kills,
                "nr_mapped": 3000 + self._mapped() // PAGE_SIZE,
                "allocstall_movable": self.stalls,
                **self._pool_counters(),
            },
            "pcp_pages": 100,
            "net": self._net(),
            "tainted": self.tainted,
            "dying": self.dying,
            "cg": {c.name: self._group(c) for c in self.clients.values() if c.cgroup} | self._groups(),
        }

    def _pool_counters(self) -> Json:
        used = 2 * MIB + sum(c.pages for c in self.clients.values())
        counters = {"nr_netpool_used": used // PAGE_SIZE, "nr_netpool_cached": self.cached // PAGE_SIZE}
        return counters if self.kernel.pool else {}

    def _net(self) -> Json:
        plain = {"tcp_mem_pages": self._tcp() // PAGE_SIZE, "rx_bytes": 1, "rx_packets": 1, "rx_dropped": 0}
        return {**plain, **({"accounted_only": self.accounted_only} if self.kernel.sysctl else {})}

    def page_pools(self) -> Json:
        """That of the link's driver, where it has one, and that of the control link."""
        control = {"2": {"netdev": "ctl0", "counts": {"inflight": 192, "recycle_released_refcnt": 7}}}
        return control | ({"3": self.driver.told()} if self.driver else {})

    def tick(self) -> None:
        self.telemetry.append(self.sample())
        self.seq += 1

    def pages(self) -> Json:
        clients = self.clients.values()
        mapped = self._mapped()
        plain = 20 * MIB + sum(c.pinned for c in clients) + self._queues() + self.leak + self.cached
        plain += sum(c.mapped_now - c.before for c in clients if c.moved_to and c.mapped_now)  # charged to no client
        plain += sum(c.partner for c in clients)
        return {
            "plain": plain // PAGE_SIZE + 100,
            "free": self.free() // PAGE_SIZE,
            "mapped_uncharged": 0 if self.kernel.mapped else mapped // PAGE_SIZE,
            "offline": 0,
            "charged": {str(c.ino): self.charge(c) // PAGE_SIZE for c in clients if c.cgroup},
        }

    def parent(self) -> Json:
        """The cgroup above: what its children are charged it is charged too."""
        below = sum(self.charge(c) for c in self.clients.values() if not c.above)
        below += sum(self.group_charge(g) for g in self.groups if g.within is None)
        current = 2 * PAGE_SIZE + self.above + below
        plain: Json = {"peak": current, "max": -1, "procs": 0, "events": {}, "stat": {}}
        return {"ino": 400, "current": current, **plain}

    def canary(self, token: str) -> Json:
        """The lab leaves a line in the log, and the log tells how many were for the console since the last."""
        told = {"canary": token, "seq": len(self.console), "shown": self.shown}
        self.printk(f"lab-canary: {token}")
        self.shown = 0
        return told

    def oom_kill(self, client: Client, *, memcg: bool) -> None:
        where = f"oom_memcg=/lab/{client.name}" if memcg else "global_oom"
        constraint, head = ("MEMCG", "Memory cgroup out") if memcg else ("NONE", "Out")
        used = self.charge(client) if memcg else 0
        self.printk("zc-client invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0")
        if memcg:
            self.printk(f"memory: usage {used // KIB}kB, limit {(client.limit or used) // KIB}kB, failcnt 120")
        self.printk(
            f"oom-kill:constraint=CONSTRAINT_{constraint},nodemask=(null),cpuset=/,mems_allowed=0,{where},"
            f"task_memcg=/lab/{client.name},task=zc-client,pid={client.pid},uid=0"
        )
        self.printk(
            f"{head} of memory: Killed process {client.pid} (zc-client) total-vm:300000kB, "
            f"anon-rss:{(client.anon + OWN) // KIB}kB, file-rss:{(client.mapped_now + MIB) // KIB}kB, shmem-rss:0kB, "
            f"UID:0 pgtables:600kB oom_score_adj:0"
        )
        client.drop()
        client.alive, client.procs, client.kills, self.kills = False, 0, client.kills + 1, self.kills + 1

    def printk(self, text: str) -> None:
        self.console.append(f"[{self.t:12.6f}] {text}")
        self.shown += 1

    def _explained(self) -> Json:
        anon = sum(c.anon + OWN * c.procs for c in self.clients.values())
        return {
            "Buffers": 0,
            "Cached": self.page_cache,
            "AnonPages": 5 * MIB + anon + self.taken,
            "Slab": 25 * MIB,
            "PageTables": MIB,
        }

    def _unexplained(self) -> int:
        return 20 * MIB + sum(c.pages for c in self.clients.values()) + self._queues() + self.leak

    def _queues(self) -> int:
        return round(sum(c.queued for c in self.clients.values()) * TRUESIZE)

    def _mapped(self) -> int:
        return sum(c.mapped_now + c.partner for c in self.clients.values())

    def _tcp(self) -> int:
        return self._queues() + sum(c.twice for c in self.clients.values())

    def _groups(self) -> Json:
        return {
            g.name: {
                "above": g.within.name if g.within else "",
                "ino": 600 + n,
                "current": self.group_charge(g),
                "peak": self.group_charge(g),
                "max": -1 if g.limit is None else g.limit,
                "procs": sum(c.procs for c in self.clients.values() if g.name in (c.moved_to, c.shares_in)),
                "events": {"high": self.over_high(g), "max": 0, "oom": 0, "oom_kill": 0},
                "stat": {"sock": 0},
            }
            for n, g in enumerate(self.groups)
        }

    def _group(self, client: Client) -> Json:
        return {
            "ino": client.ino,
            "current": self.charge(client),
            "peak": client.peak,
            "max": -1 if client.limit is None else client.limit,
            "procs": 0 if client.moved_to else client.procs,
            "above": client.above,
            "events": {"max": 0, "oom": client.kills, "oom_kill": client.kills},
            "stat": {
                "anon": client.anon,
                "sock": self._sock(client),
                "file_mapped": client.mapped_now * self.kernel.mapped,
            },
        }
