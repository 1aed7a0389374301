# SPDX-License-Identifier: GPL-2.0-only
"""What a driver gets that has not opted in.

> "Failure to opt-in (e.g. unchanged old driver) can either lead to unaccounted zerocopy (ie. existing behaviour) or,
> optionally, effectively disabled zerocopy (ie. any call to zerocopy will return something like EINVAL) (perhaps
> controlled via some sysctl ...)"

**Experiment.** `net.ipv4.tcp_rx_zerocopy_accounted_only` is set to 0, and the client `lenient` holds 32 MiB; it is set
to 1, and `strict` does the same. Both receive by copy what TCP_ZEROCOPY_RECEIVE refuses. Run it on a driver that opted
in (`e1000e-split`, `virtio`) and on one that did not (`e1000`, `loopback`): the NIC profile decides what is expected.

**Rule `opted`.** Opted in, under both settings: the mapped share is above the profile's floor, no call is refused, and
all that is held is charged. Not opted in, 0: the same share is mapped, and charged to nobody. Not opted in, 1: nothing
at all is mapped, the first refusal is EINVAL, and every byte offered came by copy. The setting is read from telemetry
at the checkpoint: a `put-hook` kernel without the sysctl, or one on which it does not take the value, is a FAIL.

**Tolerance.** That of `hold` (64 pages per CPU, 5 %, 1 MiB): a charge that is there or not differs by 32 MiB. None for
what is mapped under 1.

**Exercised.** Both clients took their whole stream.

**Not applicable** to the other designs: their drivers need not opt in, and there is no such sysctl.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD, Checkpoint, ClientSpec
from lab.units import MIB
from suites.rx_zerocopy.case import Chapter, case
from suites.rx_zerocopy.clients import Behaviour
from suites.rx_zerocopy.designs import N_A, OPT_IN_SYSCTL, PASS, expected
from suites.rx_zerocopy.rules.designs import both_took, opted

if TYPE_CHECKING:
    from lab.trial.steps import Steps

LENIENT = ClientSpec("lenient", Behaviour.HOLD_OR_COPY, None, 32 * MIB)
STRICT = ClientSpec("strict", Behaviour.HOLD_OR_COPY, None, 32 * MIB)
UNACCOUNTED, REFUSED = 0, 1
"""Values of the sysctl."""


@case(
    chapter=Chapter.DESIGN,
    claim='"Failure to opt-in ... can either lead to unaccounted zerocopy (ie. existing behaviour) or, optionally, '
    'effectively disabled zerocopy"',
    clients=[LENIENT, STRICT],
    subject=STRICT,
    exercised_by=both_took,
    judged_by=[opted],
    expect=expected(stock=N_A, precharge=N_A, unmap_hook=N_A, put_hook=PASS, pool_return=N_A),
    why_not=f"drivers need not opt in: it has no {OPT_IN_SYSCTL}",
    any_driver=True,
)
def opt_in(pair: Steps) -> None:
    """Hold under either setting, and copy where TCP_ZEROCOPY_RECEIVE is refused."""
    for value, client, checkpoint in ((UNACCOUNTED, LENIENT, Checkpoint("lenient")), (REFUSED, STRICT, HELD)):
        pair.set_sysctl(OPT_IN_SYSCTL, value)
        pair.start(client)
        pair.delivered(client)
        pair.checkpoint(checkpoint)
        pair.release(client)
    pair.set_sysctl(OPT_IN_SYSCTL, UNACCOUNTED)
    pair.end()
