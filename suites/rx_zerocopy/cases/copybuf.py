# SPDX-License-Identifier: GPL-2.0-only
"""What TCP_ZEROCOPY_RECEIVE copies, what it leaves to recv(), and what lies between its bytes.

A call may bring a buffer (`copybuf_address`, `copybuf_len`). Where all that has come fits into it, the kernel maps
nothing and copies (`receive_fallback_to_copy()` of net/ipv4/tcp.c); else it copies what is left of a packet behind its
last whole page (`tcp_zc_handle_leftover()`), and `recv_skip_hint` says how many bytes come before the next page that
can be mapped. The other clients of the lab bring a page less one byte each time, so they hardly come there. A design
that counts pages by how far the sequence number got has to be right about bytes that were copied.

**Experiment.** A client gets 48 MiB over eight sockets at 16 MiB/s. Call by call it brings nothing, 1 byte, a page less
one byte, 256 KiB, a page, a page and one byte, and 16 KiB. Before each call it looks ahead by MSG_PEEK. It reads what
the hint says and no more. In the middle of each stream comes a byte out of band (MSG_OOB), where `tcp_inq()` ends for
TCP_ZEROCOPY_RECEIVE; that byte is read by MSG_OOB. All that is mapped is kept.

**Rules.** `exact`: charged is what is mapped, within 64 pages a CPU and 512 KiB either way; what was copied is not.
`bytes-equal`: every byte came once and in order, those looked at ahead of time were the same. `urgent`: so did those
out of band.

**What a client has to know** (seen on stock code): what is copied behind mapped pages comes out of the packet, and ends
with it and not where `tcp_inq()` ends. Where the packet has the byte out of band in it, that one is given as a byte of
the stream, and can be read by MSG_OOB no more: 2 of 8 in one run, and every byte behind it was one place off. So this
client asks, of mapped and copied bytes together, for no more than SIOCINQ says.

**Exercised.** Enough was mapped; a page at least came by the fallback, behind a page, by the hint, and by MSG_PEEK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.plan.case import ClientSpec
from lab.units import MIB
from suites.rx_zerocopy.case import Chapter, case, keep_and_release
from suites.rx_zerocopy.clients import Behaviour
from suites.rx_zerocopy.designs import FAIL, PASS, expected
from suites.rx_zerocopy.rules.bills import exact
from suites.rx_zerocopy.rules.claims import bytes_equal
from suites.rx_zerocopy.rules.paths import copied_in_all_ways, urgent

if TYPE_CHECKING:
    from lab.trial.steps import Steps

SOCKETS = 8
MIDDLE = 3 * MIB + 1234
"""Where the byte out of band comes: not at the edge of a page."""
CLIENT = ClientSpec("abuser", Behaviour.COPYBUF, None, 48 * MIB, SOCKETS, rate=16 * MIB, verify=True, urgent=MIDDLE)


@case(
    chapter=Chapter.PATHS,
    claim="what TCP_ZEROCOPY_RECEIVE maps is charged, what it copies is not; and no byte is lost or doubled where one "
    "way ends and the other begins",
    source="net/ipv4/tcp.c, tcp_zerocopy_receive()",
    clients=[CLIENT],
    exercised_by=copied_in_all_ways,
    judged_by=[exact(), bytes_equal, urgent],
    expect=expected(stock=FAIL, precharge=PASS, unmap_hook=PASS, put_hook=PASS, pool_return=PASS),
    seconds=8,
)
def copybuf(pair: Steps) -> None:
    """Map 48 MiB over eight sockets with another copy buffer each call, after MSG_PEEK, with urgent data in between."""
    keep_and_release(pair)
