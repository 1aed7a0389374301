# SPDX-License-Identifier: GPL-2.0-only
"""Which guest is under test is the experiment's to say: clients go there, their peers to the other one."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lab.errors import HostTrouble
from lab.evidence.bundle import parse
from lab.pair.ready import ReadyPair
from lab.plan.case import STANDARD, ClientSpec, Counter, Preflight, Traffic
from lab.plan.names import Role, link_address, other, peers_folder
from lab.plan.nics import NICS
from lab.provision.pair import Pair, PairRequest
from tests.known import run_of
from tests.unit.verdict.builder import story

SPEC = ClientSpec("c", "any", None, 1)
PREFLIGHT = Preflight(SPEC, Counter("a"), Counter("b"), lambda _: 0.5, lambda *_: True, "did it")


def traffic(tested: Role) -> Traffic:
    return Traffic(
        tested,
        lambda client, port, _seed: ("own", client.name, str(port)),
        lambda client, address, port, _seed, _mss: ("peer", client.name, address, str(port)),
        PREFLIGHT,
        frozenset(),
        None,
    )


@dataclass
class Shell:
    """Notes what is started in a guest."""

    started: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def start(self, name: str, argv: tuple[str, ...], _out: Path) -> Any:  # noqa: ANN401
        self.started.append((name, argv))
        return SimpleNamespace(wait=lambda *_: None)


def ready(asked: Traffic | None, nic: str) -> tuple[ReadyPair, dict[Role, Shell]]:
    shells: dict[Role, Shell] = {"receiver": Shell()} if nic == "loopback" else {"receiver": Shell(), "sender": Shell()}
    none = cast(Any, None)
    request = PairRequest("p", NICS[nic], STANDARD, none, none, "tcg", Path("/c"), Path("/s"), traffic=asked)
    return ReadyPair(Pair(request, {}), cast(Any, shells), threading.Condition()), shells


@pytest.mark.parametrize("tested", ["receiver", "sender"])
def test_a_client_goes_to_the_guest_under_test_and_its_peer_connects_from_the_other(tested: Role) -> None:
    pair, shells = ready(traffic(tested), "virtio")
    pair.start_client(SPEC, 5001, 7, Path("/f"))
    pair.start_peer(SPEC, 5001, 7, Path("/f"))
    ((name, argv),) = shells[tested].started
    assert (name, argv[-3:]) == ("c", ("own", "c", "5001"))
    ((name, argv),) = shells[other(tested)].started
    assert (name, argv) == (f"c's {other(tested)}", ("peer", "c", link_address("p", tested).v4, "5001"))


@pytest.mark.parametrize("tested", ["receiver", "sender"])
def test_on_loopback_there_is_one_guest_for_both(tested: Role) -> None:
    pair, shells = ready(traffic(tested), "loopback")
    pair.start_client(SPEC, 5001, 7, Path("/f"))
    pair.start_peer(SPEC, 5001, 7, Path("/f"))
    assert [argv[-1] for _, argv in shells["receiver"].started] == ["5001", "5001"]
    assert shells["receiver"].started[1][1][2] == "127.0.0.1"


def test_a_pair_for_no_traffic_starts_none() -> None:
    pair, _ = ready(None, "virtio")
    assert pair.pair.request.tested == "receiver"
    with pytest.raises(HostTrouble, match="made for no traffic"):
        pair.start_client(SPEC, 5001, 7, Path("/f"))


def test_pairs_are_shared_by_what_they_had_to_prove() -> None:
    hold = run_of("hold")
    assert hold.pair_key == run_of("release").pair_key
    assert replace(hold, traffic=traffic("sender").key).pair_key != hold.pair_key
    assert replace(hold, layer="other").pair_key != hold.pair_key
    assert traffic("sender").key != traffic("receiver").key


def test_a_bundle_says_which_guest_it_is_about() -> None:
    told = story("hold")
    evidence = parse(told.files())
    assert (evidence.tested, evidence.beside) == (evidence.receiver, evidence.sender)
    assert {sample.role for sample in evidence.tested.samples} == {"receiver"}
    told.manifest["tested"] = "sender"
    evidence = parse(told.files())
    assert (evidence.tested, evidence.beside) == (evidence.sender, evidence.receiver)
    assert {sample.role for sample in evidence.tested.samples} == {"sender"}
    assert "receivers/abuser.jsonl: absent" in evidence.problems
    told.manifest["nic"] = "loopback"
    evidence = parse(told.files())
    assert (evidence.tested, evidence.beside) == (evidence.receiver, None)


def test_what_was_called_the_sender_is_the_peer() -> None:
    """A manifest from before is read as it was; one from now on says `peer`."""
    told = story("hold")
    (old,) = parse(told.files()).manifest.clients
    row = told.manifest["clients"][0]
    for key in ("argv", "status"):
        row[f"peer_{key}"] = row.pop(f"sender_{key}")
    (new,) = parse(told.files()).manifest.clients
    assert old == new
    assert new.peer_status == 0
    assert peers_folder("receiver") == "senders"
