# SPDX-License-Identifier: GPL-2.0-only
"""The commits between a good end and a bad one, merges included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from lab.errors import BadInput


@dataclass(frozen=True)
class History:
    """A range of commits. Each is a suspect.

    good     the good end, which is no suspect
    parents  of each suspect those parents that are suspects too; parents come first, the bad end last
    """

    good: str
    parents: Mapping[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        """Raises BadInput for a range that is empty, out of order, or holds what the bad end does not contain."""
        known: set[str] = {self.good}
        problems = [] if self.parents else ["there is no commit between the ends"]
        for name, parents in self.parents.items():
            problems += [f"{name} comes before its parent {p}" for p in parents if p not in known - {self.good}]
            problems += [f"{name} is named twice, or is the good end"] if name in known else []
            known.add(name)
        if not problems:
            whole = (1 << len(self.parents)) - 1
            lost = [name for name, i in self._place.items() if not self.contained(self.bad) & whole >> i & 1]
            problems = [f"{name} is not contained in the bad end" for name in lost]
        if problems:
            raise BadInput(problems, hint="git rev-list --topo-order --reverse --parents GOOD..BAD")

    @cached_property
    def suspects(self) -> tuple[str, ...]:
        """Oldest first."""
        return tuple(self.parents)

    @cached_property
    def bad(self) -> str:
        """The bad end, which is the last suspect."""
        return self.suspects[-1]

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.parents)}

    @cached_property
    def _contained(self) -> dict[str, int]:
        masks: dict[str, int] = {self.good: 0}
        for i, (name, parents) in enumerate(self.parents.items()):
            mask = 1 << i
            for parent in parents:
                mask |= masks[parent]
            masks[name] = mask
        return masks

    def contained(self, commit: str) -> int:
        """The suspects that a tree of this commit contains, one bit each in their order; 0 for the good end."""
        return self._contained[commit]

    def indices(self, commit: str) -> Iterator[int]:
        """The places of those suspects."""
        mask = self._contained[commit]
        while mask:
            low = mask & -mask
            yield low.bit_length() - 1
            mask ^= low


def line(commits: int, *, good: str = "good") -> History:
    """One commit after the other, called 1, 2, 3 and so on."""
    names = [str(n + 1) for n in range(commits)]
    return History(good, {name: tuple(names[i - 1 : i]) if i else () for i, name in enumerate(names)})
