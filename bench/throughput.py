# SPDX-License-Identifier: GPL-2.0-only
"""How near the clients come to what the emulated link can carry: mapping, copying, and neither, in turns in one pair.

`raw` is the limit: TCP acknowledges the bytes and frees their pages, and nobody reads, maps or copies one (`drop`).
The sender is the same for all three and does as little as it can for a byte.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

from bench.harness import Measure, Outcome, Ratio, interleaved
from bench.registry import Asked
from bench.stats import Round
from lab.cli.guests import accelerator_for, prepared, private_hypervisor
from lab.cli.measure import FIRST_PORT, Moved, transfer
from lab.errors import LabTrouble
from lab.guestimage.layer import layer_of
from lab.pair.ready import ReadyPair, ready_pair
from lab.plan.case import STANDARD, ClientSpec
from lab.plan.names import digest
from lab.plan.nics import NICS, NicProfile
from lab.provision.pair import PairRequest
from lab.units import MIB
from suites.rx_zerocopy.clients import Behaviour
from suites.rx_zerocopy.traffic import TRAFFIC

PROFILES = ("e1000e-split", "virtio", "virtio-mrg", "e1000")
CLIENTS = {"map": Behaviour.MAP, "copy": Behaviour.COPY, "raw": Behaviour.DROP}
COMPARED = (("map", "raw"), ("copy", "raw"), ("map", "copy"))
TRANSFER = 64 * MIB
RING = 1 * MIB
"""Memory that `copy` uses over and over: what it keeps would otherwise grow with the transfer."""

CLOCKS_APART_S, CLOCKS_APART = 0.25, 0.10
"""Seconds, and share of a transfer, by which the clocks of guest and host may disagree about its duration."""


def measure(asked: Asked) -> Outcome:
    """One pair for each NIC profile, one after the other. Raises LabTrouble."""
    kernel, image = prepared(asked.kernels[0] if asked.kernels else "newest", asked.progress)
    layer = layer_of(TRAFFIC, asked.progress)
    measured: dict[str, list[Round]] = {}
    shares: dict[str, list[float]] = {name: [] for name in PROFILES}

    def tell(name: str, what: str) -> None:
        asked.progress(f"{name}: {what}")

    with private_hypervisor() as (hypervisor, folder):
        accelerator = accelerator_for(hypervisor, kernel, image, folder)
        for name in PROFILES:
            pair, captures = digest("throughput", name, str(folder)), Path(folder, "pairs", name)
            request = PairRequest(
                pair, NICS[name], STANDARD, kernel, image, accelerator, captures, folder / "s", traffic=TRAFFIC
            )
            request = replace(request, layer=layer)
            progress = partial(tell, name)
            with ready_pair(hypervisor, request, progress) as ready:
                measured[name] = interleaved(variants(ready, shares[name]), asked.repeats, progress)
    facts = {"kernel": kernel.name, "accelerator": accelerator, "transfer_mib": TRANSFER // MIB}
    return outcome(measured, shares, facts)


def variants(ready: ReadyPair, shares: list[float]) -> dict[str, Measure]:
    """Each is one transfer and tells its MiB/s; `shares` takes what share of its bytes `map` could map."""
    numbers = itertools.count()
    nic = ready.pair.request.nic

    def once(behaviour: Behaviour) -> float:
        number = next(numbers)
        ring = RING if behaviour == "copy" else 0
        client = ClientSpec(f"{behaviour}{number}", behaviour, None, TRANSFER, ring=ring)
        moved = transfer(ready, client, FIRST_PORT + number)
        if behaviour == "map":
            shares.append(moved.mapped / TRANSFER)
        return rate(moved, nic, maps=behaviour == "map")

    return {name: partial(once, behaviour) for name, behaviour in CLIENTS.items()}


def rate(moved: Moved, nic: NicProfile, *, maps: bool) -> float:
    """MiB/s of a whole transfer. Raises LabTrouble for one that says nothing: cut short, not mapped, two times told."""
    if moved.delivered != TRANSFER:
        raise LabTrouble(f"{nic.name}: {moved.delivered} bytes came of {TRANSFER}")
    if maps and moved.mapped < nic.floor * TRANSFER:
        raise LabTrouble(f"{nic.name}: {moved.mapped / TRANSFER:.0%} could be mapped, the floor is {nic.floor:.0%}")
    if abs(moved.clock - moved.seconds) > CLOCKS_APART_S + CLOCKS_APART * moved.clock:
        raise LabTrouble(f"{nic.name}: a transfer took {moved.seconds:.2f} s in the guest and {moved.clock:.2f} s here")
    return TRANSFER / MIB / moved.seconds


def outcome(
    measured: Mapping[str, Sequence[Round]], shares: Mapping[str, Sequence[float]], facts: Mapping[str, object]
) -> Outcome:
    """The rounds of all profiles side by side, three ratios for each."""
    keys = {name: name.replace("-", "_") for name in measured}
    told = [{f"{keys[n]}_{variant}": v for n, r in row.items() for variant, v in r.items()} for row in _rows(measured)]
    ratios = [
        Ratio(f"{key}_{over}_over_{under}", f"{key}_{over}", f"{key}_{under}")
        for key in keys.values()
        for over, under in COMPARED
    ]
    mapped = {f"{keys[name]}_mapped_share": round(median(shares[name]), 4) for name in measured}
    return Outcome("Bytes/s of one client, by NIC profile", "MiB_per_s", told, ratios, {**facts, **mapped})


def _rows(measured: Mapping[str, Sequence[Round]]) -> list[dict[str, Round]]:
    """Round by round instead of profile by profile."""
    return [dict(zip(measured, rounds, strict=True)) for rounds in zip(*measured.values(), strict=True)]
