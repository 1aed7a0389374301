# SPDX-License-Identifier: GPL-2.0-only
"""The second witness of data that lies in socket queues: TCP's own counter, and the memory that is missing."""

from __future__ import annotations

import pytest

from lab.units import KIB, MIB
from lab.verdict.model import Word
from tests.unit.verdict.builder import story
from tests.unit.verdict.told import Story


def less_gone(told: Story, size: int, slab: int) -> None:
    """While the data is queued, `size` bytes of it are not missing without a name, and slab has grown by `slab`."""
    (held,) = (c for c in told.checkpoints if c["name"] == "held")
    for sample in (held, *(s for s in told.machine.telemetry if s["net"]["tcp_mem_pages"])):
        sample["meminfo"]["MemFree"] += size - slab
        sample["meminfo"]["Slab"] += slab


def test_queues_that_tcp_has_collapsed_lie_in_slab() -> None:
    told = story("sock-control")
    less_gone(told, 24 * MIB, slab=24 * MIB)
    assert told.verdict().word is Word.PASS


def test_queued_data_that_no_memory_is_missing_for_is_not_believed() -> None:
    told = story("sock-control")
    less_gone(told, 24 * MIB, slab=4 * MIB)
    verdict = told.verdict()
    assert verdict.word is Word.ERROR
    assert any("slab grew by 4.0 MiB" in f.message for f in verdict.findings if f.word is Word.ERROR)


@pytest.mark.parametrize(("queued", "word"), [(6 * MIB, Word.PASS), (0, Word.FAIL)])
def test_what_lies_in_queues_when_a_limit_kills_is_not_what_the_client_took(queued: int, word: Word) -> None:
    """The charge has been over the limit, by data in queues or by nothing known: put-hook on a busy host."""
    told = story("copy-control")
    (at,) = (i for i, line in enumerate(told.machine.console) if "memory: usage" in line)
    before, rest = told.machine.console[at].split("usage ")
    usage, _, after = rest.partition("kB")
    told.machine.console[at] = f"{before}usage {int(usage) + queued // KIB}kB{after}"
    for sample in told.machine.telemetry:
        if "abuser" in sample["cg"]:
            sample["cg"]["abuser"]["peak"] = 70 * MIB
    assert told.verdict().word is word
