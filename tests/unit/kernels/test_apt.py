# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from lab.kernels.packages import Offer, line_of, offers_of, parse, version_key

CORPUS = Path(__file__).parents[2] / "corpus" / "apt" / "show-bookworm.txt"


def parse_offers(text: str) -> tuple[Offer, ...]:
    return offers_of(parse(text))


def test_offers_are_the_plain_and_cloud_images_oldest_first() -> None:
    assert [(o.release, o.flavour) for o in parse_offers(CORPUS.read_text())] == [
        ("6.1.0-55-amd64", "generic"),
        ("6.1.0-56-cloud-amd64", "cloud"),
        ("6.1.0-56-amd64", "generic"),
        ("6.12.100+deb12-amd64", "generic"),
        ("6.12.117+deb12-amd64", "generic"),
    ]


def test_an_offer_carries_what_fetching_needs() -> None:
    offer = parse_offers(CORPUS.read_text())[-1]
    assert offer.version == "6.12.117-1~deb12u1"
    assert offer.size == 107179464
    assert len(offer.sha256) == 64


def test_the_newest_of_two_versions_of_one_package_is_offered() -> None:
    old = CORPUS.read_text()
    newer = old.replace("6.1.192-2", "6.1.192-10").replace("SHA256: a", "SHA256: b")
    assert {o.version for o in parse_offers(newer + old) if "6.1.0-56" in o.release} == {"6.1.192-10"}


def test_an_installed_package_nobody_offers_is_left_out() -> None:
    text = "\n".join(line for line in CORPUS.read_text().splitlines() if not line.startswith("SHA256"))
    assert parse_offers(text) == ()


@pytest.mark.parametrize(
    "versions",
    [
        ["6.1.9-1", "6.1.10-1", "6.12.1-1", "6.12.10-1~deb12u1", "6.12.10-1", "6.12.10-1+b1"],
        ["6.13~rc1-1~exp1", "6.13~rc5-1~exp1", "6.13-1", "6.13.1-1"],
        ["1.0~~", "1.0~", "1.0", "1.0a", "1.0+"],
    ],
)
def test_versions_order_as_dpkg_orders_them(versions: list[str]) -> None:
    assert sorted(reversed(versions), key=version_key) == versions
    for older, newer in pairwise(versions):
        assert subprocess.run(["dpkg", "--compare-versions", older, "lt", newer], check=False).returncode == 0


def test_line_of_a_version() -> None:
    assert line_of("6.12.117-1~deb12u1") == "6.12"
