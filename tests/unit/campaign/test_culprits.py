# SPDX-License-Identifier: GPL-2.0-only
"""What a night looks for: the command is one that a user could have typed, and a search goes on where it stopped."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.archive.compare import Change
from lab.archive.rows import KernelRow
from lab.campaign import culprits
from lab.campaign.bisect import work
from lab.campaign.bisect.model import Asked, Outcome
from lab.campaign.bisect.record import load
from lab.campaign.bisect.wording import HEADLINES
from lab.session.conduct import conduct
from lab.spec.night import Target
from tests.unit.campaign.world import KilledError, World, line_of, search_in

CHANGE = cast("Change", SimpleNamespace(witness=SimpleNamespace(case_name="hold", nic="virtio")))


def kernel(name: str, base: str = "") -> KernelRow:
    return cast("KernelRow", SimpleNamespace(name=name, base=base, sha256=name))


def command(target: dict[str, Any], good: KernelRow, bad: KernelRow) -> str:
    return culprits.bisecting(Path("/srv/lab"), Target(name="mine", **target))(CHANGE, good, bad)


def asked(text: str) -> Asked:
    return culprits.asked_of(text, Path("/srv/results"))


def test_packages_are_asked_for_by_their_names() -> None:
    text = command({"kernel": "6.12"}, kernel("6.12.117"), kernel("6.12.118"))
    assert text == "lab bisect --case hold --nic virtio --packages 6.12.117..6.12.118"
    made = asked(text)
    assert (made.kind, made.case, made.nic, made.source) == ("packages", "hold", "virtio", "6.12.117..6.12.118")
    assert (made.results, made.command) == ("/srv/results", text)


def test_commits_of_a_branch_are_built_as_its_nights_are() -> None:
    target = {"repo": "my tree", "branch": "main", "design": "put-hook", "config": ("a.config", "b.config")}
    made = asked(command(target, kernel("a", "/x#v1"), kernel("b", "/x#v2")))
    assert (made.kind, made.source, made.good, made.bad) == ("commits", "/srv/lab/my tree", "v1", "v2")
    assert (made.design, made.configs) == ("put-hook", ("/srv/lab/a.config", "/srv/lab/b.config"))


def test_of_a_series_each_patch_is_a_suspect() -> None:
    made = asked(command({"series": "v4.mbox", "base": "6.12"}, kernel("v3", "6.12"), kernel("v4", "6.12")))
    assert (made.kind, made.source, made.base) == ("patches", "/srv/lab/v4.mbox", "6.12")


@pytest.mark.parametrize(
    ("target", "good", "bad"),
    [
        ({"kernel": "6.12"}, kernel("same"), kernel("same")),
        ({"kernel": "mine"}, kernel("a", "base"), kernel("b")),
        ({"repo": "r", "branch": "b"}, kernel("a", "/x#v1"), kernel("b", "/x#v1")),
        ({"repo": "r", "branch": "b"}, kernel("a"), kernel("b", "/x#v1")),
    ],
)
def test_where_nothing_lies_between_nothing_is_looked_for(
    target: dict[str, Any], good: KernelRow, bad: KernelRow
) -> None:
    assert command(target, good, bad) == ""


def test_a_search_that_was_killed_goes_on_and_its_culprit_is_a_mail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, told = World(line_of(8), "c5", stop_at=9), list[str]()
    monkeypatch.setattr(culprits, "begun", lambda _: search_in(world.range))
    monkeypatch.setattr(work, "Conductor", lambda *_: world)

    def look() -> culprits.Found:
        text = "lab bisect --case hold --nic virtio --packages a..b"
        return culprits.look_for(text, tmp_path / "search", tmp_path, 3600.0, conduct, told.append, 2)

    with pytest.raises(KilledError):
        look()
    found = look()
    assert "culprit: c5" in found.line
    assert found.mail.startswith("Subject: [bisected] hold on virtio")
    assert (tmp_path / "search" / "report.txt").read_text() == found.mail
    assert load(tmp_path / "search").asked.pairs == 2
    runs = [entry.seen.run for entry in load(tmp_path / "search").entries]
    assert len(runs) == len(set(runs)) == len(world.runs)


def test_who_finds_no_culprit_mails_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(line_of(8), "")
    monkeypatch.setattr(culprits, "begun", lambda _: search_in(world.range))
    monkeypatch.setattr(work, "Conductor", lambda *_: world)
    text = "lab bisect --case hold --nic virtio --packages a..b"
    found = culprits.look_for(text, tmp_path / "search", tmp_path, 3600.0, conduct, lambda _: None)
    assert found.mail == ""
    assert HEADLINES[Outcome.BRACKET] in found.line
