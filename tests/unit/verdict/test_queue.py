# SPDX-License-Identifier: GPL-2.0-only
"""The second witness of data that lies in socket queues: TCP's own counter, and the memory that is missing."""

from __future__ import annotations

from lab.units import MIB
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
