# SPDX-License-Identifier: GPL-2.0-only
"""The red side of the rules of suites.rx_zerocopy.rules.designs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from lab.units import MIB
from tests.unit.verdict.builder import story
from tests.unit.verdict.machine import KERNELS, Json, Kernel
from tests.unit.verdict.spoil import E, F, Red, client, in_checkpoint, kill_line, spoilt
from tests.unit.verdict.told import Story

POOLED = KERNELS["pool-return"]


def bill(checkpoint: str, name: str, extra: int) -> Callable[[Story], object]:
    def change(line: Json) -> None:
        line["cg"][name]["current"] += extra

    return in_checkpoint(checkpoint, change)


def unseen(checkpoint: str) -> Callable[[Story], object]:
    return lambda told: told.checkpoints.remove(told.checkpoint(checkpoint))


def net_at_held(**fields: int) -> Callable[[Story], object]:
    return in_checkpoint("held", lambda line: line["net"].update(fields))


def shifted_bill(checkpoint: str, payer: str, other: str) -> Callable[[Story], object]:
    """2 MiB of what one holds are charged to another: what a driver's cache of 512 pages could do."""

    def spoil(told: Story) -> None:
        bill(checkpoint, payer, -2 * MIB)(told)
        bill(checkpoint, other, 2 * MIB)(told)

    return spoil


def on_e1000(**fields: object) -> Story:
    """A driver that has not opted in, with something else in the strict client's account."""
    told = story("opt-in", Kernel(mapped=False), nic="e1000")
    for line in told.clients["strict"]:
        if line["event"] != "ready":
            line.update(fields)
    return told


def from_a_page_pool(kernel: Kernel) -> Story:
    """Mergeable buffers of virtio_net, which are a page pool's since 7.1: a driver that has opted in, but not these."""
    told = story("opt-in", kernel, nic="virtio-mrg")
    told.manifest["kernel"] = {**told.manifest["kernel"], "release": "7.3.4"}
    return told


def mapped_though_strict() -> Story:
    told = story("opt-in", Kernel(mapped=False), nic="e1000")
    held = {"mapped": MIB, "mapped_now": MIB, "distinct": MIB, "held": MIB}
    told.event("strict", "holding").update(held)
    return told


def half_charged(line: Json) -> None:
    line["cg"]["lenient"]["current"] -= 16 * MIB


def refused_though_opted_in() -> Story:
    told = story("opt-in")
    told.event("lenient", "holding").update(refusals=1, refusal=22)
    return told


def pool_story(checkpoint: str, key: str, extra: int, *, case: str = "visible") -> Callable[[], Story]:
    """A counter of the pool that is wrong at one moment."""

    def change(line: Json) -> None:
        line["vmstat"][key] += extra // 4096

    return spoilt(case, in_checkpoint(checkpoint, change), POOLED)


def keeps_its_pool() -> Story:
    """Nothing comes back, and the taker gets by all the same."""
    told = story("reclaim", POOLED)
    pressed = told.checkpoint("pressed")
    pressed["vmstat"]["nr_netpool_cached"] = told.checkpoint("released")["vmstat"]["nr_netpool_cached"]
    return told


def fewer_anonymous(told: Story) -> None:
    """Less was taken than left the pool."""
    told.checkpoint("pressed")["meminfo"]["AnonPages"] -= 20 * MIB


def taker_killed(told: Story) -> None:
    kill_line(told, "/system", memcg=None)
    told.machine.console = [line.replace("task=x", "task=lab-press") for line in told.machine.console]


DESIGN_REDS: tuple[Red, ...] = (
    Red("own-bill", "pages on another's bill", F, spoilt("cross-memcg", shifted_bill("b1", "b1", "a1"))),
    Red("own-bill", "still charged after its turn", F, spoilt("cross-memcg", bill("a2", "b1", 2 * MIB))),
    Red("own-bill", "charged to nobody", F, spoilt("cross-memcg", bill("held", "b2", -2 * MIB))),
    Red("own-bill", "mixed up when both hold", F, spoilt("cross-memcg", shifted_bill("both", "a3", "b3"))),
    Red("own-bill", "a turn unseen", E, spoilt("cross-memcg", unseen("a2"))),
    Red(
        "exercised",
        "one had no turn",
        E,
        spoilt("cross-memcg", lambda s: s.clients["b1"].__delitem__(slice(2, -2))),
    ),
    Red("opted", "no such sysctl", F, partial(story, "opt-in", Kernel(sysctl=False))),
    Red(
        "opted",
        "setting ignored",
        F,
        spoilt("opt-in", net_at_held(accounted_only=0)),
    ),
    Red("opted", "opted in and not charged", F, partial(story, "opt-in", Kernel(mapped=False))),
    Red("opted", "opted in and half charged", F, spoilt("opt-in", in_checkpoint("lenient", half_charged))),
    Red("opted", "opted in and refused", F, refused_though_opted_in),
    Red("opted", "not opted in and charged", F, partial(story, "opt-in", Kernel(), nic="e1000")),
    Red("opted", "a page pool's pages are charged", F, partial(from_a_page_pool, Kernel())),
    Red("opted", "not opted in and mapped all the same", F, mapped_though_strict),
    Red("opted", "refused with another error", F, partial(on_e1000, refusal=12)),
    Red("opted", "not all came by copy", F, partial(on_e1000, copied=31 * MIB)),
    Red("opted", "first setting unseen", E, spoilt("opt-in", unseen("lenient"))),
    Red(
        "exercised",
        "a stream was cut",
        E,
        spoilt("opt-in", client("lenient", "holding", delivered=8 * MIB)),
    ),
    Red("counted", "no counters", F, partial(story, "visible", Kernel(pool=False))),
    Red("counted", "used stays low", F, pool_story("held", "nr_netpool_used", -10 * MIB)),
    Red("counted", "used stays high", F, pool_story("released", "nr_netpool_used", 10 * MIB)),
    Red("counted", "cached and free at once", F, pool_story("released", "nr_netpool_cached", 12 * MIB)),
    Red(
        "counted",
        "release unseen",
        E,
        spoilt("visible", unseen("released"), POOLED),
    ),
    Red("given-back", "nothing came back", F, keeps_its_pool),
    Red("given-back", "taker killed", F, spoilt("reclaim", taker_killed, POOLED)),
    Red(
        "given-back",
        "given to nobody",
        F,
        spoilt("reclaim", fewer_anonymous, POOLED),
    ),
    Red("exercised", "pool not filled", E, pool_story("released", "nr_netpool_cached", -44 * MIB, case="reclaim")),
    Red(
        "exercised",
        "not pressed",
        E,
        spoilt("reclaim", in_checkpoint("pressed", lambda c: c["meminfo"].update(AnonPages=100 * MIB)), POOLED),
    ),
    Red(
        "exercised",
        "pressure unseen",
        E,
        spoilt("reclaim", unseen("pressed"), POOLED),
    ),
)
