# SPDX-License-Identifier: GPL-2.0-only
"""Other ways to keep a page that was unmapped: `pin-sendzc`, `pin-fork`, `pin-tee`, `pin-uring`.

> Can there be instances where the buffers are pinned by something else for indefinite lengths of time?

**Experiment.** As `pin-vmsplice` (map, keep by other means, unmap, repeat to 4 x limit), with four other means. Each is
a case of its own, so that a verdict names the way.

- `pin-sendzc`: the write queue of a socket, MSG_ZEROCOPY to a local peer that never reads. What a local peer receives
  is copied (`skb_orphan_frags_rx()`), so almost nothing may reach it: the window closes after 128 KiB of 16 MiB.
  `pinned` is what SIOCOUTQ still counts, so the copied part is not claimed.
- `pin-fork`: the page table of a forked child. TCP mappings are VM_MIXEDMAP, which fork() copies.
- `pin-tee`: a pipe that the client never spliced into: tee(2) from the first pipe, splice(2) on to a third, the first
  two closed.
- `pin-uring`: an io_uring's table of registered buffers.

**Rule.** `billed`, as for `hold`: held less charged within a batch per CPU, 5 % and 1 MiB. What is held is counted by
page frame before the pages leave the page table. `allowed` (`pin-uring` only) says whether the kernel lets mapped pages
be kept that way: where it does not, nothing was tried, and the verdict is SKIP with the errno, not PASS. The client
first registers a page of its own, so that a refusal is about the mapped page.

**What was measured** (6.12.117, e1000e-split; limit 64 MiB).

- `pin-uring`: EFAULT on every kernel. io_uring pins buffers for writing (FOLL_WRITE), and TCP refuses writable
  mappings, so `check_vma_flags()` says no. The prediction of the thread's table ("where the kernel allows it") is open
  for that reason.
- `pin-fork` is contained by `precharge` and `unmap-hook`: the child's mapping is a mapping, and the charge lasts as
  long as the last.
- `pin-tee` and `pin-sendzc` escape from both, as `pin-vmsplice` does: what counts is whether the charge ends with the
  mapping or with the page, not who has the page: 245 and 245 MiB (precharge), 245 and 245 (unmap-hook). `put-hook` and
  `pool-return` contain all three.
- The distribution's 6.12: 236 (`pin-sendzc`), 247 (`pin-fork`), 244 MiB (`pin-tee`) on e1000e-split; 216, 234 and 222
  on virtio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from suites.rx_zerocopy.case import Chapter, case, keep_and_release
from suites.rx_zerocopy.clients import Behaviour, abuser
from suites.rx_zerocopy.designs import FAIL, OPEN, PASS, expected, on_all
from suites.rx_zerocopy.rules.claims import billed
from suites.rx_zerocopy.rules.exercised import PAST, took, took_unless_not_allowed
from suites.rx_zerocopy.rules.limits import allowed

if TYPE_CHECKING:
    from lab.trial.steps import Steps

CLAIM = '"Can there be instances where the buffers are pinned by something else for indefinite lengths of time?"'
EXPECT = expected(stock=FAIL, precharge=OPEN, unmap_hook=OPEN, put_hook=PASS, pool_return=PASS)


@case(
    chapter=Chapter.ESCAPE,
    claim=CLAIM,
    clients=[abuser(Behaviour.PIN_SENDZC)],
    exercised_by=took(PAST),
    judged_by=[billed],
    expect=EXPECT,
)
def pin_sendzc(pair: Steps) -> None:
    """Map, send with MSG_ZEROCOPY to a peer that never reads, unmap, repeat to 4 x limit."""
    keep_and_release(pair)


@case(
    chapter=Chapter.ESCAPE,
    claim=CLAIM,
    clients=[abuser(Behaviour.PIN_FORK)],
    exercised_by=took(PAST),
    judged_by=[billed],
    expect=EXPECT,
)
def pin_fork(pair: Steps) -> None:
    """Map, fork a child that keeps the mapping, unmap, repeat to 4 x limit."""
    keep_and_release(pair)


@case(
    chapter=Chapter.ESCAPE,
    claim=CLAIM,
    clients=[abuser(Behaviour.PIN_TEE)],
    exercised_by=took(PAST),
    judged_by=[billed],
    expect=EXPECT,
)
def pin_tee(pair: Steps) -> None:
    """As pin-vmsplice, then tee and splice on to other pipes and close the first."""
    keep_and_release(pair)


@case(
    chapter=Chapter.ESCAPE,
    claim=CLAIM,
    clients=[abuser(Behaviour.PIN_URING)],
    exercised_by=took_unless_not_allowed,
    judged_by=[billed, allowed],
    expect=on_all(OPEN),
)
def pin_uring(pair: Steps) -> None:
    """Map, register as buffers of an io_uring, unmap, repeat to 4 x limit."""
    keep_and_release(pair)
