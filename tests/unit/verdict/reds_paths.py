# SPDX-License-Identifier: GPL-2.0-only
"""The red side of the rules of suites.rx_zerocopy.rules.bills and of .paths."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from lab.units import MIB, PAGE_SIZE
from tests.unit.verdict.builder import story
from tests.unit.verdict.machine import KERNELS, Json
from tests.unit.verdict.spoil import E, F, Red, client, in_checkpoint, manifest, record, spoilt
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
    Red("turned-over", "one page in 1000 stays", F, spoilt("turnover", charged("released", "many", 185 * PAGE_SIZE))),
    Red("turned-over", "less than nothing", F, spoilt("turnover", charged("released", "many", -100 * PAGE_SIZE))),
    Red("turned-over", "far less than nothing", F, spoilt("turnover", charged("released", "many", 2**63))),
    Red("turned-over", "the first one unseen", E, spoilt("turnover", unseen("few"))),
    Red("turned-over", "release unseen", E, spoilt("turnover", unseen("released"))),
    Red("exercised", "few pages came by", E, spoilt("turnover", few_pages)),
    Red("exercised", "not all came by", E, spoilt("turnover", client("many", "holding", delivered=900 * MIB))),
)
