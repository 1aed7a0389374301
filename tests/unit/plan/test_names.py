# SPDX-License-Identifier: GPL-2.0-only
"""Names from ids: the same every time, different for different things, and valid where they are used."""

from __future__ import annotations

import ipaddress
import re

from hypothesis import given
from hypothesis import strategies as st

from lab.plan.domain import tap_name
from lab.plan.names import ROLES, digest, domain_name, link_address, mac

PAIRS = st.text("0123456789abcdef", min_size=8, max_size=8)
WORDS = st.lists(st.text(max_size=5), min_size=1, max_size=4)


@given(WORDS)
def test_a_digest_is_the_same_every_time_and_as_long_as_asked(parts: list[str]) -> None:
    assert digest(*parts) == digest(*parts)
    assert re.fullmatch("[0-9a-f]{12}", digest(*parts, length=12))


@given(WORDS, WORDS)
def test_different_parts_make_different_digests(one: list[str], other: list[str]) -> None:
    if "\0".join(one) != "\0".join(other):
        assert digest(*one, length=16) != digest(*other, length=16)


def test_a_digest_depends_on_where_one_part_ends() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("a", "b") != digest("b", "a")


@given(PAIRS)
def test_macs_of_a_pair_are_distinct_valid_and_of_qemus_block(pair: str) -> None:
    macs = [mac(pair, role, nic) for role in ROLES for nic in ("control", "link")]
    assert len(set(macs)) == 4
    assert all(re.fullmatch("52:54:00(:[0-9a-f]{2}){3}", m) for m in macs)


@given(PAIRS)
def test_both_ends_of_a_link_share_a_network_and_differ(pair: str) -> None:
    ends = [link_address(pair, role) for role in ROLES]
    v4 = [ipaddress.ip_interface(f"{e.v4}/24") for e in ends]
    v6 = [ipaddress.ip_interface(f"{e.v6}/64") for e in ends]
    for one, other in (v4, v6):
        assert one != other
        assert one.network == other.network
    assert v4[0] in ipaddress.ip_network("198.18.0.0/15")
    assert v6[0].ip.is_private


@given(PAIRS)
def test_tap_names_fit_the_kernel(pair: str) -> None:
    names = {tap_name(pair, role) for role in ROLES}
    assert len(names) == 2
    assert all(1 <= len(n) <= 15 and "/" not in n for n in names)


def test_a_domain_name_tells_pair_and_role() -> None:
    assert domain_name("0123abcd", "sender") == "lab-0123abcd-sender"


def test_addresses_are_written_as_tools_print_them() -> None:
    pair = next(f"{n}" for n in range(4096) if digest(f"{n}", "link", length=2) == "00")
    assert link_address(pair, "receiver").v6 == "fd6c:6162::1"
