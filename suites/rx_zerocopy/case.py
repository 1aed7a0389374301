# SPDX-License-Identifier: GPL-2.0-only
"""How a case of this experiment is written: a function that takes the steps, under `@case(...)`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

from lab.plan.case import HELD, RELEASED, STANDARD, Checkpoint, ClientSpec, Group, Shape
from lab.plan.design import Predicted
from lab.plan.names import Family
from lab.plan.nics import NicProfile
from lab.verdict.case import Case, Rule
from lab.verdict.rules import GROUND
from suites.rx_zerocopy.clients import LINES
from suites.rx_zerocopy.designs import DESIGNS
from suites.rx_zerocopy.rules.claims import billed
from suites.rx_zerocopy.rules.exercised import Proof, exercised
from suites.rx_zerocopy.rules.pinner import pinners
from suites.rx_zerocopy.rules.witnesses import witnesses
from suites.rx_zerocopy.traffic import TRAFFIC

if TYPE_CHECKING:
    from lab.trial.steps import Steps

THREAD = "LKML, March 2021, memcg accounting for TCP rx zerocopy"
REMOVED = Checkpoint("removed")
"""When a client has left its cgroup, and the cgroup is gone."""

SMALL = Shape("small", 448, 256)
SIDE_BY_SIDE = Shape("side-by-side", 512, 256, pairs=2, counted=True)


class Chapter(IntEnum):
    """Cases of one are shown together, in this order."""

    ESCAPE = 1  # does a client get away with memory that nobody is charged for?
    LIMIT = 2  # does a charge stay within the limit?
    ONCE = 3  # is a page charged once, and counted where the rest of the kernel counts it?
    LIFETIME = 4  # where does a charge end, once the pages are given back?
    ISOLATION = 5  # who pays for what an abuser keeps?
    PATHS = 6  # the same promises on the ways that pages seldom take
    DESIGN = 7  # what single designs promise
    CONTROL = 8  # what every kernel must get right: a lab whose controls fail says nothing about the rest
    COST = 9


def case(  # noqa: PLR0913 - all that a case says of itself stands in one place
    *,
    chapter: Chapter,
    claim: str,
    clients: Sequence[ClientSpec],
    exercised_by: Proof,
    judged_by: Sequence[Rule],
    expect: Mapping[str, Predicted],
    source: str = THREAD,
    subject: ClientSpec | None = None,
    maps: bool = True,
    why_not: str = "",
    any_driver: bool = False,
    shape: Shape = STANDARD,
    seconds: int = 5,
    compares: bool = False,
    family: Family | None = None,
    groups: Sequence[Group] = (),
    possible: Callable[[NicProfile, str], bool] = lambda *_: True,
) -> Callable[[Callable[..., None]], Case]:
    """Make a case of a script. Its name is the function's, its `how` the docstring, its page that of the module.

    subject  whose ledger is judged; the last client when none is given
    maps     it says nothing unless pages were really mapped
    possible whether it can be tried on a NIC with a kernel of that release
    """

    def made(script: Callable[..., None]) -> Case:
        return Case(
            name=script.__name__.replace("_", "-"),
            claim=claim,
            source=source,
            how=" ".join(inspect.cleandoc(script.__doc__ or "").split()).rstrip("."),
            clients=tuple(clients),
            subject=(subject or clients[-1]).name,
            traffic=TRAFFIC,
            shape=shape,
            seconds=seconds,
            compares=compares,
            proved=maps,
            family=family,
            groups=tuple(groups),
            lines=LINES,
            rules=(*GROUND, *pinners(clients), exercised(exercised_by, maps=maps), witnesses, *judged_by),
            script=script,
            expect=expect,
            designs=DESIGNS,
            why_not=why_not,
            any_driver=any_driver,
            page=inspect.cleandoc(inspect.getmodule(script).__doc__ or ""),
            file=inspect.getfile(script),
            chapter=chapter,
            escapes=billed in judged_by,
            possible=possible,
        )

    return made


def keep_and_release(pair: Steps) -> None:
    """All clients take what they are sent and keep it; it is counted; they let go, and it is counted again."""
    pair.start()
    pair.delivered()
    pair.checkpoint(HELD)
    pair.release()
    pair.checkpoint(RELEASED)
    pair.end()
