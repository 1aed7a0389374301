"""The benches there are. Each is a module with `measure(asked) -> Outcome`, imported only when it is run."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from bench.harness import Outcome
from lab.contracts import Progress
from lab.errors import BadInput


@dataclass(frozen=True)
class Asked:
    """What the user asked of a bench; every bench takes of it what applies to it."""

    repeats: int
    progress: Progress
    kernels: tuple[str, ...] = ()


Bench = Callable[[Asked], Outcome]


@dataclass(frozen=True)
class Entry:
    """A bench by its module; `repeats` when the user names no number; `same` are facts that --more may not change."""

    module: str
    repeats: int
    sentence: str
    same: tuple[str, ...] = ()

    def load(self) -> Bench:
        return cast(Bench, importlib.import_module(self.module).measure)


BENCHES: dict[str, Entry] = {
    "throughput": Entry(
        "bench.throughput",
        11,
        "bytes/s of map and copy, and of a link whose bytes TCP throws away, in the same pair",
        ("kernel", "transfer_mib"),
    ),
}


def chosen(name: str) -> tuple[str, ...]:
    """Names of the benches to run. Raises BadInput."""
    if name == "all":
        return tuple(BENCHES)
    if name not in BENCHES:
        raise BadInput([f"there is no bench {name!r}"], hint=f"all, {', '.join(BENCHES)}")
    return (name,)
