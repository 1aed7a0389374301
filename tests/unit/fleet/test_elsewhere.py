# SPDX-License-Identifier: GPL-2.0-only
"""Commands and campaigns have their sessions conducted by whom they are given, and know no more of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.campaign.bisect.laboratory import Conductor
from lab.campaign.bisect.model import Seen
from lab.cli.options import conducting
from lab.errors import BadInput, HostTrouble
from lab.plan.session import SessionPlan
from lab.session.conduct import Conducted, Listener, conduct
from lab.spec.request import SessionRequest
from tests.unit.campaign.world import line_of, search_in
from tests.unit.fleet.made import plan_in


def test_without_a_list_it_is_this_host(tmp_path: Path) -> None:
    assert conducting(None, "parallel") is conduct
    with pytest.raises(BadInput) as told:
        conducting(tmp_path / "nosuch", "pigeon")
    assert len(told.value.problems) == 2


def test_with_a_list_its_hosts_are_asked(tmp_path: Path) -> None:
    (tmp_path / "hosts.ini").write_text("one ansible_connection=ssh ansible_host=127.0.0.1 ansible_port=1\n")
    with pytest.raises(HostTrouble, match="no host can be used: one: "):
        conducting(tmp_path / "hosts.ini", "local")(SessionRequest(), tmp_path / "results", Listener())
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(("proved", "kept"), [("auto", ""), ("tcg", "tcg")])
def test_a_search_takes_what_its_conductor_brings(tmp_path: Path, proved: str, kept: str) -> None:
    """Runs that left no bundle on any host are told as lost; each host may prove another accelerator."""
    search = search_in(line_of(3))
    asked: list[SessionRequest] = []
    told: list[Seen] = []

    def elsewhere(request: SessionRequest, folder: Path, listener: Listener, **_: Any) -> Conducted:  # noqa: ANN401
        asked.append(request)
        plan: SessionPlan = replace(plan_in(folder / "s1", ("hold",)), accelerator=proved)
        listener.planned(plan)
        return Conducted(plan, False, {})

    def tell(suspect: str, seen: Seen) -> None:
        assert suspect == search.range.bad.name
        told.append(seen)

    Conductor(search, Listener(), elsewhere).run([(search.range.bad, 2)], lambda *_: None, tell)
    assert [request.kernels for request in asked] == [(search.range.bad.kernel,)]
    assert [seen.word for seen in told] == ["MISS", "MISS"]
    assert all(seen.why.startswith("it left no bundle; what happened: ") for seen in told)
    assert search.accelerator == kept
