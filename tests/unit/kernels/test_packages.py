# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import re
from pathlib import Path

from lab.kernels.packages import Offer, offers_of, parse, sources_of

LISTS = Path(__file__).parents[2] / "corpus" / "apt"
BACKPORTS = (LISTS / "show-trixie-backports.txt").read_text()


def offers(text: str) -> dict[str, Offer]:
    return {offer.release: offer for offer in offers_of(parse(text), "trixie-backports")}


def without(package: str) -> str:
    """The list after a package has vanished from it."""
    return "\n\n".join(s for s in BACKPORTS.split("\n\n") if not s.startswith(f"Package: {package}\n"))


def test_a_kernel_is_one_package_or_three() -> None:
    assert [(o.release, [p.package for p in o.parts], o.is_bare) for o in offers(BACKPORTS).values()] == [
        ("6.18.15+deb13-amd64", ["linux-image-6.18.15+deb13-amd64"], False),
        ("7.1.13+deb13-amd64", ["linux-binary-7.1.13+deb13-amd64"], True),
        ("7.3.4+deb13-amd64", [f"linux-{part}-7.3.4+deb13-amd64" for part in ("binary", "modules", "base")], False),
    ]


def test_what_is_fetched_of_three_is_counted_together_and_each_is_told_by_its_own_hash() -> None:
    kernel = offers(BACKPORTS)["7.3.4+deb13-amd64"]
    assert kernel.size == 14138336 + 106862204 + 1077476
    assert kernel.installed_size == (14180 + 106469 + 1562) * 1024
    assert len({part.sha256 for part in kernel.parts} | {kernel.sha256}) == 4
    assert {part.archive for part in kernel.parts} == {"trixie-backports"}


def test_modules_that_vanish_leave_a_bare_kernel_and_a_vmlinuz_that_vanishes_leaves_none() -> None:
    for part in ("modules", "base"):
        kernel = offers(without(f"linux-{part}-7.3.4+deb13-amd64"))["7.3.4+deb13-amd64"]
        assert (kernel.is_bare, len(kernel.parts)) == (True, 1)
    assert "7.3.4+deb13-amd64" not in offers(without("linux-binary-7.3.4+deb13-amd64"))


def test_a_kernel_is_complete_without_the_package_that_holds_nothing() -> None:
    assert not offers(without("linux-image-7.3.4+deb13-amd64"))["7.3.4+deb13-amd64"].is_bare


def test_modules_of_another_version_are_none_of_this_kernel() -> None:
    text = re.sub(r"(Package: linux-modules-7\.3\.4\S+\n(?:.+\n)*?Version: )\S+", r"\g<1>7.3.4-2~bpo13+1", BACKPORTS)
    assert text != BACKPORTS
    assert offers(text)["7.3.4+deb13-amd64"].is_bare


def test_an_older_version_that_is_complete_comes_before_a_newer_one_that_is_bare() -> None:
    newer = BACKPORTS.replace("7.3.4-1~bpo13+1", "7.3.4-2~bpo13+1")
    bare = "\n\n".join(s for s in newer.split("\n\n") if s.startswith("Package: linux-binary-7.3.4+deb13-amd64\n"))
    assert offers(f"{BACKPORTS}\n\n{bare}")["7.3.4+deb13-amd64"].version == "7.3.4-1~bpo13+1"
    assert offers(f"{BACKPORTS}\n\n{newer}")["7.3.4+deb13-amd64"].version == "7.3.4-2~bpo13+1"


def test_every_version_of_a_source_package_oldest_first() -> None:
    found = sources_of(parse(BACKPORTS), "linux-source-7.2", "sid")
    assert [deb.version.partition("-")[0] for deb in found] == ["7.2.6", "7.2.9", "7.2.11", "7.2.12"]
    assert {deb.archive for deb in found} == {"sid"}
