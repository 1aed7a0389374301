# SPDX-License-Identifier: GPL-2.0-only
"""How a case of this experiment is written: a function that takes the steps, under `@case(...)`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

from lab.plan.case import RELEASED, Checkpoint, Shape
from lab.plan.design import STOCK, Predicted
from lab.verdict.case import Case, Rule
from lab.verdict.rules import GROUND
from suites.tx_zerocopy.clients import COMPLETED, LINES, ZEROCOPIED, Sending
from suites.tx_zerocopy.rules.exercised import Proof, exercised
from suites.tx_zerocopy.rules.witnesses import witnesses
from suites.tx_zerocopy.traffic import TRAFFIC

if TYPE_CHECKING:
    from lab.trial.steps import Steps

GO = "go"
"""What a peer that waits is told: read from now on."""
EXITED = Checkpoint("exited")
"""When a client has ended, and what it sent is still on its way."""

SENDING = Shape("sending", 256, 512)
"""The sender is under test, so that it has the memory."""


class Chapter(IntEnum):
    """Cases of one are shown together, in this order; after those of other experiments."""

    CHARGE = 101  # who is charged for what is in flight, and is it bounded?
    ONCE = 102  # how often?
    LIFETIME = 103  # until when?
    CONTROL = 104  # what every kernel must get right: a lab whose controls fail says nothing about the rest


def case(  # noqa: PLR0913 - all that a case says of itself stands in one place
    *,
    chapter: Chapter,
    claim: str,
    source: str,
    clients: Sequence[Sending],
    exercised_by: Proof,
    judged_by: Sequence[Rule],
    expect: Predicted = Predicted.PASS,
    seconds: int = 5,
    copies: bool = False,
) -> Callable[[Callable[[Steps], None]], Case]:
    """Make a case of a script. Its name is the function's, its `how` the docstring, its page that of the module.

    copies  it needs no NIC that sends without a copy

    The last client is the one whose ledger is judged. No design changes how a kernel sends, so each is expected to show
    what stock shows.
    """

    def made(script: Callable[[Steps], None]) -> Case:
        return Case(
            name=script.__name__.replace("_", "-"),
            claim=claim,
            source=source,
            how=" ".join(inspect.cleandoc(script.__doc__ or "").split()).rstrip("."),
            clients=tuple(clients),
            subject=clients[-1].name,
            traffic=TRAFFIC,
            shape=SENDING,
            seconds=seconds,
            proved=not copies,
            lines=LINES,
            rules=(*GROUND, exercised(exercised_by), witnesses, *judged_by),
            script=script,
            expect={STOCK: expect},
            page=inspect.cleandoc(inspect.getmodule(script).__doc__ or ""),
            file=inspect.getfile(script),
            chapter=chapter,
        )

    return made


def let_read(pair: Steps, *clients: Sending) -> None:
    """The peers of these clients, which waited, read; the kernel says what it has let go; it is counted."""
    for client in clients:
        pair.tell_peer(client, GO)
    for client in clients:
        pair.reached(client, COMPLETED, pair.counter(client, ZEROCOPIED))
        pair.charge_gone(client)
    pair.checkpoint(RELEASED)
