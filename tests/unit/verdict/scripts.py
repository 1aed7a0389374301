# SPDX-License-Identifier: GPL-2.0-only
"""What happens in a run of each case, step by step, as tests tell it."""

from __future__ import annotations

from lab.plan.case import ClientSpec
from lab.units import MIB, PAGE_SIZE
from suites.rx_zerocopy.rules.paths import CUTS, GONE
from tests.unit.verdict.machine import Client
from tests.unit.verdict.told import BURST, Story, wanted


def ordinary(told: Story) -> None:
    """Every client takes its stream; what they keep is looked at; they let go."""
    for spec in told.case.clients:
        client = told.start(spec)
        _take(told, client, spec)
        if told.case.compares:
            client.drop()
            told.quit(spec)
    if told.case.name == "file-mapped":
        for client in told.machine.clients.values():
            told.say(client, "smaps", resident=client.mapped_now)
    told.wait(2)
    alive = [c for c in told.machine.clients.values() if c.alive and c.procs]
    if alive:
        told.mark("held")
    if told.case.name == "dead-memcg":
        _bury(told, alive[0])
    told.wait(2)
    for client in alive:
        told.machine.release(client)
        told.say(client, "released")
    told.wait(2)
    told.mark("released")


def _held(told: Story) -> Client:
    """The only client has taken its stream and keeps it, and that was counted."""
    (spec,) = told.case.clients
    client = told.start(spec)
    _take(told, client, spec)
    told.wait(2)
    told.mark("held")
    return client


def _released(told: Story, client: Client) -> None:
    """A client lets go, and that is counted."""
    told.machine.release(client)
    told.say(client, "released")
    told.wait(2)
    told.mark("released")


def _take(told: Story, client: Client, spec: ClientSpec) -> None:
    told.pour(client, wanted(spec))
    client.queued += spec.sockets * spec.leave
    client.twice += spec.sockets * 16 * PAGE_SIZE * bool(spec.leave)
    if told.case.compares and spec.deliver < BURST:
        told.wait(20)  # a trickle
    if client.behaviour == "copy":
        client.anon = min(client.anon, spec.ring or client.anon)
    stopped = client.delivered < wanted(spec) and client.behaviour != "slow"
    killing = told.machine.kernel.at_limit != "refuse" and not client.unkillable
    if stopped and (client.behaviour == "copy" or killing):
        told.machine.oom_kill(client, memcg=True)
    else:
        told.end_of_stream(client, spec)


def _refused(told: Story) -> None:
    """refused: the ordinary way, and then the cgroup is removed."""
    ordinary(told)
    _bury(told, told.machine.clients["abuser"])


def _lowered(told: Story) -> None:
    """never-over-lowered: half-way the limit falls below what is held, and the stream goes on."""
    (spec,) = told.case.clients
    client = told.start(spec)
    told.pour(client, 5 * BURST)
    client.limit = spec.lowered
    told.wait(2)
    told.mark("lowered")
    told.pour(client, wanted(spec) - client.delivered)
    told.end_of_stream(client, spec)
    told.wait(2)
    told.mark("held")
    told.wait(2)
    _released(told, client)


def _killed(told: Story) -> None:
    """killed: the lab kills the client that holds."""
    client = _held(told)
    told.wait(2)
    told.record(client.name)["killed"] = True
    client.drop()
    client.alive, client.procs = False, 0
    _count_dead(told, client)


def _killed_oom(told: Story) -> None:
    """killed-oom: it takes anonymous memory until its limit has it killed."""
    client = _held(told)
    while told.machine.charge(client) + BURST <= (client.limit or 0):
        client.anon += BURST
        told.say(client, "progress")
        told.wait(1)
    told.machine.oom_kill(client, memcg=True)
    _count_dead(told, client)


def _count_dead(told: Story, client: Client) -> None:
    told.wait(2)
    told.mark("dead")
    told.wait(2)
    client.cgroup = False


def _bury(told: Story, client: Client) -> None:
    client.procs, client.cgroup = 0, False
    told.say(client, "left", cgroup="/sys/fs/cgroup/other")
    told.machine.dying = 2
    told.wait(2)
    told.mark("removed")


def _bystander(told: Story) -> None:
    """The innocent runs; the abuser takes what it gets; where nothing stops it, the guest kills the innocent."""
    innocent, abuser = told.case.clients
    told.start(innocent)
    told.wait(30)
    client = told.start(abuser)
    told.pour(client, abuser.deliver, until_free=200 * MIB)
    bystander = told.machine.clients[innocent.name]
    if told.machine.wants(client, BURST, 0) > (abuser.limit or 0):
        if told.machine.kernel.at_limit != "refuse":
            told.machine.oom_kill(client, memcg=True)
        else:
            told.end_of_stream(client, abuser)
    else:
        told.machine.oom_kill(bystander, memcg=False)
        told.wait(2)
        told.pour(client, 2 * BURST)  # what the dead one left
        told.say(client, "holding", reason="eof")
    told.wait(30)
    for alive in (c for c in (client, bystander) if c.alive):
        alive.drop()
        told.say(alive, "released")
    told.mark("released")


def _turns(told: Story) -> None:
    """cross-memcg: one after the other, then two at once."""
    specs = {spec.name: spec for spec in told.case.clients}
    for name, checkpoint in (("a1", "a1"), ("b1", "b1"), ("a2", "a2"), ("b2", "held")):
        _turn(told, [specs[name]], checkpoint)
    _turn(told, [specs["a3"], specs["b3"]], "both")


def _turn(told: Story, specs: list[ClientSpec], checkpoint: str) -> None:
    clients = [told.start(spec) for spec in specs]
    for client, spec in zip(clients, specs, strict=True):
        _take(told, client, spec)
    told.wait(2)
    told.mark(checkpoint)
    told.wait(2)
    for client in clients:
        told.machine.release(client)
        told.say(client, "released")
    told.wait(2)


def _settings(told: Story) -> None:
    """opt-in: both settings; a driver that has not opted in is refused under the second."""
    lenient, strict = told.case.clients
    _turn(told, [lenient], "lenient")
    told.machine.accounted_only = 1
    told.machine.clients[strict.name].refusal = 22 * (told.machine.kernel.sysctl and not told.machine.kernel.mapped)
    _turn(told, [strict], "held")
    told.machine.accounted_only = 0


def _pressed(told: Story) -> None:
    """reclaim: the ordinary way, then somebody takes more than is free."""
    ordinary(told)
    told.machine.press(told.machine.free() + told.machine.cached * 3 // 4)
    told.wait(2)
    told.mark("pressed")
    told.wait(2)
    told.machine.taken = 0


def _turned(told: Story) -> None:
    """turnover: one has few pages come by, then another has many; neither keeps any."""
    for spec, checkpoint in zip(told.case.clients, ("few", "released"), strict=True):
        client = told.start(spec)
        _take(told, client, spec)
        told.wait(2)
        if checkpoint == "released":
            told.mark("held")
        told.machine.release(client)
        told.say(client, "released")
        told.wait(2)
        told.mark(checkpoint)


def _moved(told: Story) -> None:
    """moved: one holds; another holds some, goes to another cgroup, and takes the rest."""
    for spec in told.case.clients:
        client = told.start(spec)
        if spec.name == "mover":
            told.pour(client, 2 * BURST)
            client.moved_to, client.before = "next", client.mapped_now
            told.say(client, "left", cgroup="/sys/fs/cgroup/lab/next")
        told.pour(client, wanted(spec) - client.delivered)
        told.end_of_stream(client, spec)
    _let_go(told, counted=False)


def _levels(told: Story) -> None:
    """hierarchy: each takes what the limit above it leaves."""
    for spec in told.case.clients:
        client = told.start(spec)
        told.pour(client, wanted(spec))
        told.end_of_stream(client, spec)
    _let_go(told)


def _let_go(told: Story, *, counted: bool = True) -> None:
    told.wait(2)
    told.mark("held")
    told.wait(2)
    for client in told.machine.clients.values():
        told.machine.release(client)
        told.say(client, "released")
    told.wait(2)
    if counted:
        told.mark("released")


def _partial(told: Story) -> None:
    """partial: an eighth at a time is unmapped in three ways; then two are left as they are."""
    client = _held(told)
    for how in CUTS:
        told.wait(2)
        client.mapped_now -= told.case.clients[0].deliver // 8 if how in GONE else 0
        told.say(client, "cut", how=how, resident=client.mapped_now)
        told.wait(2)
        told.mark(how)
    told.wait(2)
    _released(told, client)


def _under_pressure(told: Story) -> None:
    """pressure: one holds; memory is taken until the kernel has to reclaim; then it lets go."""
    client = _held(told)
    told.wait(2)
    told.machine.taken, told.machine.page_cache, told.machine.stalls = told.machine.free() + 8 * MIB, 20 * MIB, 3
    told.wait(2)
    told.mark("pressed")
    told.wait(2)
    client.drop()  # to where it is wanted: no pool keeps it now
    told.say(client, "released")
    told.wait(2)
    told.mark("released")
    told.wait(2)
    told.machine.taken = 0


def _heir(told: Story) -> None:
    """heir: one holds, leaves a child, and ends; then the child ends."""
    client = _held(told)
    told.wait(2)
    told.say(client, "heir")
    told.wait(1)
    told.say(client, "done")
    told.wait(2)
    told.mark("outlived")
    told.wait(2)
    told.machine.release(client)
    client.procs = 0
    told.wait(2)
    told.mark("released")


def _shared(told: Story) -> None:
    """shared: two hold what came over one socket; one of them calls execve(); the other one lets go."""
    client = _held(told)
    told.wait(2)
    client.partner = 0
    told.say(client, "execed")
    told.wait(2)
    told.mark("execed")
    told.wait(2)
    _released(told, client)


def _copied(told: Story) -> None:
    """copybuf: some of it came by each way to copy, and a byte out of band over each socket."""
    (spec,) = told.case.clients
    client = told.machine.clients[spec.name]
    client.ways, client.urgent = MIB, spec.sockets
    ordinary(told)


def _released_by_pool(told: Story) -> None:
    """pool-release: the ordinary way; what is pinned has left the pool when its packets are freed."""
    client = _held(told)
    told.checkpoints.pop()
    _leave_pool(told, client.pages)
    told.mark("held")
    told.wait(2)
    _released(told, client)


def _leave_pool(told: Story, size: int) -> None:
    if told.machine.driver:
        told.machine.driver.left += size // PAGE_SIZE


def _recycled(told: Story) -> None:
    """recycled-charge: 64 pages are unmapped while their packets wait; the ring is emptied; the packets are freed."""
    mapper, reader = told.case.clients
    client, pool = told.start(mapper), told.machine.driver
    _take(told, client, mapper)
    client.twice = 0
    _leave_pool(told, client.mapped - 64 * PAGE_SIZE)
    told.wait(2)
    told.mark("left")
    _take(told, told.start(reader), reader)
    told.wait(2)
    told.mark("held")
    told.wait(2)
    told.machine.release(client)
    if pool:
        pool.ring += 200
    told.say(client, "released")
    told.wait(2)
    told.mark("released")
    _bury(told, client)


def _raced(told: Story) -> None:
    """race: it takes all that others leave it, and lets go of what little it has."""
    (spec,) = told.case.clients
    client = told.start(spec)
    _take(told, client, spec)
    told.wait(2)
    _released(told, client)


SCRIPTS = {
    "pool-release": _released_by_pool,
    "recycled-charge": _recycled,
    "race": _raced,
    "shared": _shared,
    "copybuf": _copied,
    "heir": _heir,
    "pressure": _under_pressure,
    "partial": _partial,
    "moved": _moved,
    "hierarchy": _levels,
    "over-high": _levels,
    "turnover": _turned,
    "turnover-4g": _turned,
    "bystander": _bystander,
    "cross-memcg": _turns,
    "opt-in": _settings,
    "reclaim": _pressed,
    "refused": _refused,
    "killed": _killed,
    "killed-oom": _killed_oom,
    "never-over-lowered": _lowered,
}
