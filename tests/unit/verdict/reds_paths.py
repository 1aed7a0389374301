# SPDX-License-Identifier: GPL-2.0-only
"""The red side of the rules of suites.rx_zerocopy.rules.bills and of .paths."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from lab.units import MIB, PAGE_SIZE
from tests.unit.verdict.builder import story
from tests.unit.verdict.machine import KERNELS, Json
from tests.unit.verdict.spoil import E, F, Red, client, in_checkpoint, manifest, record, shift_memory, spoilt
from tests.unit.verdict.told import Story


def charged(checkpoint: str, name: str, extra: int) -> Callable[[Story], object]:
    """So much more is charged to a client at one moment, and to the cgroup above: the charges balance."""

    def change(line: Json) -> None:
        line["cg"][name]["current"] += extra
        line["cg"][name]["peak"] = max(line["cg"][name]["peak"], line["cg"][name]["current"])
        line["parent"]["current"] += extra

    return in_checkpoint(checkpoint, change)


def unseen(checkpoint: str) -> Callable[[Story], object]:
    return lambda told: told.checkpoints.remove(told.checkpoint(checkpoint))


def few_pages(told: Story) -> None:
    """Above the floor, yet not enough to see one in 1000."""
    for line in told.clients["many"]:
        if "mapped" in line:
            line["mapped"] = round(0.3 * line["mapped"])
    told.manifest["floor"] = 0.25


def bill(checkpoint: str, **extra: int) -> Callable[[Story], object]:
    """So much more, or less, is charged to these cgroups at one moment."""

    def change(line: Json) -> None:
        for name, more in extra.items():
            line["cg"][name]["current"] += more

    return in_checkpoint(checkpoint, change)


def no_group(checkpoint: str, name: str) -> Callable[[Story], object]:
    """A cgroup that was not seen; what it was charged is not charged above either."""

    def change(line: Json) -> None:
        line["parent"]["current"] -= line["cg"].pop(name)["current"]

    return in_checkpoint(checkpoint, change)


def told_above(checkpoint: str, **counts: int) -> Callable[[Story], object]:
    """What memory.events of the cgroup above the client's counts at one moment."""
    return in_checkpoint(checkpoint, lambda line: line["cg"]["top"]["events"].update(counts))


def no_events(line: Json) -> None:
    line["cg"]["top"]["events"] = {}


def above_all(extra: int) -> Callable[[Story], object]:
    """So much more is charged to the cgroup that all of a run's lie in."""

    def change(line: Json) -> None:
        line["parent"]["current"] += extra

    return in_checkpoint("held", change)


def memory(checkpoint: str, more: int) -> Callable[[Story], object]:
    return in_checkpoint(checkpoint, lambda line: shift_memory(line, more))


def nobody_left(told: Story) -> None:
    told.checkpoint("outlived")["cg"]["abuser"].update(procs=0)


def never_done(told: Story) -> None:
    """It says that it is done when its child has ended."""
    told.clients["abuser"].remove(next(line for line in told.clients["abuser"] if line["event"] == "done"))


def cuts(told: Story, how: str) -> Json:
    """What the client said when it had done that."""
    return next(line for line in told.clients["abuser"] if line.get("how") == how)


def nobody_shares(told: Story) -> None:
    told.checkpoint("execed")["cg"]["partner"].update(procs=0)


def not_sent(told: Story) -> None:
    told.senders["abuser"][-1].update(urgent=7)


def lingers(line: Json) -> None:
    line["dying"] = 9


def still_charged(line: Json) -> None:
    line["pages"]["offline"] = 100


def no_pressure(told: Story) -> None:
    """Nothing had to be reclaimed."""
    told.checkpoint("pressed")["vmstat"]["allocstall_movable"] = 0


def taker_killed(told: Story) -> None:
    """What was taken is free again before the release."""
    told.checkpoint("released")["meminfo"]["AnonPages"] -= 300 * MIB


PATH_REDS: tuple[Red, ...] = (
    Red("exact", "free without the hint", F, partial(story, "no-hint", KERNELS["stock"])),
    Red("exact", "free on the second try", F, partial(story, "map-over", KERNELS["stock"])),
    Red("exact", "half of it free", F, spoilt("no-hint", charged("held", "fresh", -2 * MIB))),
    Red("exact", "charged for what was mapped over", F, spoilt("no-hint", charged("held", "over", 2 * MIB))),
    Red("exact", "unseen", E, spoilt("no-hint", unseen("held"))),
    Red("exercised", "never mapped over", E, spoilt("no-hint", client("over", "holding", mapped=31 * MIB))),
    Red("exercised", "hardly mapped over", E, spoilt("map-over", client("over", "holding", mapped=31 * MIB))),
    Red("exercised", "nothing left of it", E, spoilt("map-over", client("over", "holding", mapped_now=0))),
    Red("bytes-equal", "an old page", F, spoilt("map-over", client("over", "done", mismatches=4096, first_mismatch=0))),
    Red("exercised", "said to be IPv4", E, spoilt("ipv6", manifest(family="ipv4"))),
    Red("exercised", "sent over IPv4", E, spoilt("ipv6", record("abuser", sender_argv=["zc-sender", "--to", "h"]))),
    Red("exercised", "nobody knows where to", E, spoilt("ipv6", record("abuser", sender_argv=["zc-sender", "--to"]))),
    Red("billed", "mapped pages that came by IPv6", F, partial(story, "ipv6", KERNELS["stock"])),
    Red("one-pays", "nobody pays", F, partial(story, "moved", KERNELS["stock"])),
    Red("one-pays", "who accepted pays", F, spoilt("moved", bill("held", passed=-2 * MIB, elsewhere=2 * MIB))),
    Red("one-pays", "what it held moved with it", F, spoilt("moved", bill("held", mover=-16 * MIB, next=16 * MIB))),
    Red("one-pays", "where it was pays on", F, spoilt("moved", bill("held", mover=2 * MIB, next=-2 * MIB))),
    Red("one-pays", "no other cgroup", E, spoilt("moved", no_group("held", "elsewhere"))),
    Red("one-pays", "held unseen", E, spoilt("moved", unseen("held"))),
    Red("exercised", "moved too early", E, spoilt("moved", client("mover", "left", held=MIB))),
    Red("exercised", "moved too late", E, spoilt("moved", client("mover", "left", held=47 * MIB))),
    Red("exercised", "moved at no time", E, spoilt("moved", lambda s: s.event("mover", "left").update(event="smaps"))),
    Red("levels", "only the leaf and its parent", F, spoilt("hierarchy", bill("held", top=-24 * MIB))),
    Red("levels", "charged to the middle alone", F, spoilt("hierarchy", bill("held", mid=MIB, top=MIB))),
    Red("levels", "held unseen", E, spoilt("hierarchy", unseen("held"))),
    Red("balanced", "nobody above all of them", F, spoilt("hierarchy", above_all(-16 * MIB))),
    Red("balanced", "charged above all of them twice", F, spoilt("hierarchy", above_all(16 * MIB))),
    Red("limit-above", "forced", F, partial(story, "hierarchy", KERNELS["unmap-hook"])),
    Red(
        "limit-above",
        "no limit",
        E,
        spoilt("hierarchy", in_checkpoint("held", lambda c: c["cg"]["top"].update(max=-1))),
    ),
    Red("exercised", "nobody was refused", E, spoilt("hierarchy", client("right", "holding", errno=0))),
    Red("exact", "nothing is charged on any level", F, partial(story, "hierarchy", KERNELS["stock"])),
    Red("exact", "the one apart pays too", F, spoilt("hierarchy", bill("held", apart=4 * MIB, beside=4 * MIB))),
    Red("exact", "free past memory.high", F, spoilt("over-high", bill("held", abuser=-2 * MIB, top=-2 * MIB))),
    Red("throttled", "nothing is charged", F, partial(story, "over-high", KERNELS["stock"])),
    Red("throttled", "nobody was told", F, spoilt("over-high", told_above("held", high=0))),
    Red("throttled", "the OOM killer came", F, spoilt("over-high", told_above("held", oom_kill=1))),
    Red("throttled", "no memory.events", E, spoilt("over-high", in_checkpoint("held", no_events))),
    Red("returned", "charged after memory.high", F, spoilt("over-high", charged("released", "abuser", 4 * MIB))),
    Red("exercised", "less than memory.high", E, spoilt("over-high", client("abuser", "holding", held=31 * MIB))),
    Red("exact", "parts are free", F, partial(story, "partial", KERNELS["stock"])),
    Red("exact", "still charged for a part", F, spoilt("partial", charged("drop", "abuser", 5 * MIB))),
    Red("exact", "no more charged for what moved", F, spoilt("partial", charged("move", "abuser", -5 * MIB))),
    Red("exact", "a part unseen", E, spoilt("partial", unseen("cover"))),
    Red("follows", "smaps differ", E, spoilt("partial", lambda s: cuts(s, "cover").update(resident=30 * MIB))),
    Red(
        "follows",
        "memory is still gone",
        E,
        spoilt("partial", in_checkpoint("cover", lambda c: shift_memory(c, 9 * MIB))),
    ),
    Red(
        "exercised", "nothing was dropped", E, spoilt("partial", lambda s: cuts(s, "drop").update(mapped_now=35 * MIB))
    ),
    Red(
        "exercised", "no part was moved", E, spoilt("partial", lambda s: cuts(s, "move").update(errno=22, call="move"))
    ),
    Red("exact", "free under pressure", F, spoilt("pressure", charged("pressed", "abuser", -8 * MIB))),
    Red("returned", "a cache of 1 MiB", F, spoilt("release", charged("released", "abuser", MIB))),
    Red("returned", "a cache of the preflight's pages", F, spoilt("release", in_checkpoint("released", still_charged))),
    Red("returned", "charged after pressure", F, spoilt("pressure", charged("released", "abuser", 4 * MIB))),
    Red("exercised", "no pressure", E, spoilt("pressure", no_pressure)),
    Red("exercised", "pressure ends too soon", E, spoilt("pressure", taker_killed)),
    Red("exercised", "pressure unseen", E, spoilt("pressure", unseen("pressed"))),
    Red("inherited", "nothing charged", F, partial(story, "heir", KERNELS["stock"])),
    Red("inherited", "ended with the parent", F, spoilt("heir", charged("outlived", "abuser", -40 * MIB))),
    Red("inherited", "does not end", F, spoilt("heir", charged("released", "abuser", MIB))),
    Red(
        "inherited",
        "memory does not end",
        F,
        spoilt("heir", in_checkpoint("released", lambda c: shift_memory(c, 9 * MIB))),
    ),
    Red(
        "inherited", "memory ended", E, spoilt("heir", in_checkpoint("outlived", lambda c: shift_memory(c, -20 * MIB)))
    ),
    Red("inherited", "the child unseen", E, spoilt("heir", unseen("outlived"))),
    Red(
        "exercised",
        "no child",
        E,
        spoilt("heir", nobody_left),
    ),
    Red("exercised", "the parent lives", E, spoilt("heir", never_done)),
    Red("each-pays", "nobody pays", F, partial(story, "shared", KERNELS["stock"])),
    Red("each-pays", "the other one pays", F, spoilt("shared", bill("held", abuser=-8 * MIB, partner=8 * MIB))),
    Red("each-pays", "execve() ends no charge", F, spoilt("shared", bill("execed", partner=24 * MIB))),
    Red("each-pays", "execve() ends both", F, spoilt("shared", bill("execed", abuser=-4 * MIB))),
    Red("each-pays", "memory stays", F, spoilt("shared", memory("execed", 20 * MIB))),
    Red("each-pays", "execve() unseen", E, spoilt("shared", unseen("execed"))),
    Red("each-pays", "no cgroup of the other", E, spoilt("shared", no_group("held", "partner"))),
    Red("exercised", "no execve()", E, spoilt("shared", client("abuser", "execed", partner=24 * MIB))),
    Red("exercised", "the other one did not live on", E, spoilt("shared", nobody_shares)),
    Red("exercised", "one took it all", E, spoilt("shared", client("abuser", "holding", partner=MIB))),
    Red("exact", "copied bytes are charged", F, spoilt("copybuf", charged("held", "abuser", 2 * MIB))),
    Red("exact", "with a copy buffer it is free", F, partial(story, "copybuf", KERNELS["stock"])),
    Red("urgent", "one is lost", F, spoilt("copybuf", client("abuser", "done", urgent=7))),
    Red("urgent", "one came twice", F, spoilt("copybuf", client("abuser", "done", urgent=9))),
    Red("urgent", "one was not sent", E, spoilt("copybuf", not_sent)),
    Red("bytes-equal", "a byte too few", F, spoilt("copybuf", client("abuser", "done", mismatches=3))),
    Red("exercised", "never all at once", E, spoilt("copybuf", client("abuser", "holding", fallback=0))),
    Red("exercised", "no hint", E, spoilt("copybuf", client("abuser", "holding", hinted=0))),
    Red("exercised", "nothing looked at ahead", E, spoilt("copybuf", client("abuser", "holding", peeked=0))),
    Red("exercised", "nothing behind a page", E, spoilt("copybuf", client("abuser", "holding", straggled=0))),
    Red("nothing-left", "a removed cgroup lingers", F, spoilt("race", in_checkpoint("end", lingers))),
    Red("nothing-left", "its pages are charged", F, spoilt("race", in_checkpoint("end", still_charged))),
    Red("nothing-left", "no control", E, spoilt("race", unseen("control"))),
    Red("returned", "charged after the race", F, spoilt("race", charged("released", "racer", 4 * MIB))),
    Red("exercised", "one CPU", E, spoilt("race", lambda s: s.manifest["pair"].update(vcpus=1))),
    Red("exercised", "nobody forked", E, spoilt("race", client("racer", "holding", forked=0))),
    Red("exercised", "no cgroup was removed", E, spoilt("race", client("racer", "holding", passed=3))),
    Red("exercised", "nothing was mapped", E, spoilt("race", client("racer", "holding", mapped=MIB))),
    Red("turned-over", "one page in 1000 stays", F, spoilt("turnover", charged("released", "many", 185 * PAGE_SIZE))),
    Red("turned-over", "less than nothing", F, spoilt("turnover", charged("released", "many", -100 * PAGE_SIZE))),
    Red("turned-over", "far less than nothing", F, spoilt("turnover", charged("released", "many", 2**63))),
    Red("turned-over", "the first one unseen", E, spoilt("turnover", unseen("few"))),
    Red("turned-over", "release unseen", E, spoilt("turnover", unseen("released"))),
    Red("exercised", "few pages came by", E, spoilt("turnover", few_pages)),
    Red("exercised", "not all came by", E, spoilt("turnover", client("many", "holding", delivered=900 * MIB))),
)
