# SPDX-License-Identifier: GPL-2.0-only
"""Parts of a mapping: the charge follows the pages, page by page, however they go, and stays where they stay.

**Experiment.** A client holds what it maps of 40 MiB in one area. Then an eighth of it at a time is

- `unmap`: given to munmap(), `drop`: to madvise(MADV_DONTNEED), `cover`: to mmap(MAP_FIXED) of anonymous memory: gone;
- `move`: moved by mremap() to another alignment, so that page tables are moved entry by entry, `protect`: set to
  PROT_NONE by mprotect(): still there.

It is counted after each. What is there the client takes from /proc/self/pagemap each time, and from the Rss of its
areas in /proc/self/smaps.

**Rules.** `exact` at `held` and after each of the five: charged is what is there, within 64 pages a CPU and 512 KiB
either way. `follows`: the two counts agree to a page, and free memory by the kernel's account is what they say, within
8 MiB or a tenth; else ERROR. `exercised`: the first three took about an eighth each away, the last two nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import HELD, RELEASED, Checkpoint, ClientSpec
from lab.units import MIB
from suites.rx_zerocopy.case import Chapter, case
from suites.rx_zerocopy.clients import Behaviour
from suites.rx_zerocopy.designs import FAIL, PASS, expected
from suites.rx_zerocopy.rules.bills import exact
from suites.rx_zerocopy.rules.paths import CUTS, follows, was_cut

if TYPE_CHECKING:
    from lab.trial.steps import Steps

CLIENT = ClientSpec("abuser", Behaviour.HOLD, None, 40 * MIB)


@case(
    chapter=Chapter.PATHS,
    claim='a charge "ends when the object is fed back to whatever pool it came out of": page by page, whichever call '
    "unmaps them, and not for a page that is only moved or protected",
    clients=[CLIENT],
    exercised_by=was_cut,
    judged_by=[exact(HELD, *map(Checkpoint, CUTS)), follows],
    expect=expected(stock=FAIL, precharge=PASS, unmap_hook=PASS, put_hook=PASS, pool_return=PASS),
    seconds=8,
)
def partial(pair: Steps) -> None:
    """Hold 40 MiB; munmap, MADV_DONTNEED, MAP_FIXED, mremap and mprotect an eighth each, and count after each."""
    pair.start(CLIENT)
    pair.delivered(CLIENT)
    pair.checkpoint(HELD)
    for how in CUTS:
        pair.cut(CLIENT, how)
        pair.checkpoint(Checkpoint(how))
    pair.release()
    pair.checkpoint(RELEASED)
    pair.end()
