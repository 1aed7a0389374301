"""What is a client's own charge, when the sample that tells it was read late: first bytes are there by then."""

from __future__ import annotations

import pytest

from lab.units import MIB, PAGE_SIZE
from lab.verdict.model import Word
from tests.unit.verdict.builder import Story, story
from tests.unit.verdict.machine import Json

CAME = 768 * 1024


def last_before_the_stream(told: Story, client: str) -> Json:
    """The sample that was begun last before the client had accepted its connections."""
    accepted = next(e["t"] for e in told.clients[client] if e["event"] == "accepted")
    return [s for s in told.machine.telemetry if s["t"] <= accepted][-1]


def mapped(sample: Json, client: str) -> None:
    sample["cg"][client]["stat"]["file_mapped"] += CAME


def told_as_sock(sample: Json, client: str) -> None:
    sample["cg"][client]["stat"]["sock"] += CAME


def queued(sample: Json, _client: str) -> None:
    sample["net"]["tcp_mem_pages"] += CAME // PAGE_SIZE


@pytest.mark.parametrize("how", [mapped, told_as_sock, queued])
def test_what_came_while_a_sample_was_read_is_not_the_clients_own(how) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    told = story("cross-memcg")
    sample = last_before_the_stream(told, "a2")
    sample["cg"]["a2"]["current"] += CAME
    how(sample, "a2")
    assert told.verdict().word is Word.PASS


def test_a_clients_own_is_what_it_was_charged_before_and_what_nothing_else_explains() -> None:
    """Sockets are charged as they are accepted, in the last sample before the stream."""
    told = story("release")
    since = last_before_the_stream(told, "abuser")["t"]
    for sample in (*told.machine.telemetry, *told.checkpoints):
        if "abuser" in sample["cg"] and sample["t"] >= since:
            for counter in ("current", "peak"):
                sample["cg"]["abuser"][counter] += 3 * MIB
    assert told.verdict().word is Word.PASS
