# SPDX-License-Identifier: GPL-2.0-only
"""What hosts say of themselves when they are asked, and what they have room for."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from lab.contracts import Progress
from lab.errors import LabError
from lab.fleet.inventory import FleetHost
from lab.fleet.link import linked
from lab.host.version import lab_code
from lab.text.words import one_line

ASKED_AT_ONCE = 32


@dataclass(frozen=True)
class Answer:
    """What a host said when it was asked, or why it did not."""

    host: FleetHost
    facts: dict[str, Any]
    problem: str = ""

    @property
    def room(self) -> int:
        """How many batches at once: as the list says, else what the host has room for. 0 where it is of no use."""
        told = self.facts.get("pairs")
        fits = told if isinstance(told, int) and told > 0 else 1
        return 0 if self.problem else self.host.pairs or min(fits, 64)


def ask(host: FleetHost) -> Answer:
    """Never raises LabError."""
    try:
        with linked(host) as link:
            facts = link.facts()
    except LabError as exc:
        return Answer(host, {}, exc.message)
    code = str(facts.get("lab_code"))
    if code != lab_code():
        problem = f"its lab is another one, {str(facts.get('lab_version'))[:60]} ({code[:12]}); lab hosts setup"
        return Answer(host, facts, problem)
    clock = facts.get("clock")
    if not isinstance(clock, int | float) or abs(clock - time.time()) > 300:
        return Answer(host, facts, "its clock is wrong")
    return Answer(host, facts)


def ask_all(hosts: Sequence[FleetHost], progress: Progress) -> tuple[Answer, ...]:
    """All of them, many at once."""
    progress(f"asking {len(hosts)} hosts")
    with ThreadPoolExecutor(min(len(hosts), ASKED_AT_ONCE)) as pool:
        return tuple(pool.map(ask, hosts))


def examined(host: FleetHost) -> tuple[list[str], str]:
    """What `lab doctor` says on a host, a line each, and why the lab cannot run there; "" where it can."""
    answer = ask(host)
    if answer.problem:
        return [], answer.problem
    try:
        with linked(host) as link:
            told = link.ask("doctor")
    except LabError as exc:
        return [], exc.message
    lines = [line for line in str(told.get("doctor", "")).splitlines() if line.strip()]
    status = told.get("status")
    return [_check(line) for line in lines[:100]], "" if status == 0 else f"lab doctor ended with {status}"


def _check(line: str) -> str:
    """A check in few words; the line itself where it is none."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        told = json.loads(line)
        cure = f" (cure: {told['cure']})" if told["cure"] else ""
        return one_line(f"{told['status']:4} {told['name']}: {told['seen']}{cure}", 400)
    return one_line(line, 400)
