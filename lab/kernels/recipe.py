# SPDX-License-Identifier: GPL-2.0-only
"""A kernel to be built: base + series + fragments, under a name. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lab.host.filecache import key_of
from lab.kernels.base import Base
from lab.kernels.fragments import Fragment, Option, merge, written
from lab.kernels.ranges import fitted
from lab.kernels.series import Series
from lab.plan.design import design_of

_METHOD = "1"  # raise it whenever the same recipe makes another kernel


@dataclass(frozen=True)
class Recipe:
    """Everything a kernel is made of but the toolchain. design: the row of the designs table it should behave like."""

    name: str
    design: str
    base: Base
    series: Series
    fragments: tuple[Fragment, ...]

    def merged(self) -> dict[str, Option]:
        """What the fragments ask for together, as a kernel of the base's version takes it. Raises BadInput when they
        contradict each other."""
        return fitted(merge(self.fragments), self.base.version)

    @property
    def options(self) -> str:
        """The merged fragments as one text. Raises as `merged` does."""
        return written(self.merged())

    @property
    def config_key(self) -> str:
        return key_of(self.options)

    def key(self, toolchain: str) -> str:
        """Kernels with the same key are the same kernel, whatever their names."""
        return kernel_key(self.base.key, self.series.key, self.options, toolchain)

    def as_design(self, design: str) -> Recipe:
        """The same kernel under the claim that it behaves like that design."""
        if design == self.design:
            return self
        return replace(self, name=f"{self.name}@{design}", design=design_of(design))


def kernel_key(base_key: str, series_key: str, options: str, toolchain: str) -> str:
    """The key of a kernel from the keys of its parts."""
    return key_of(_METHOD, base_key, series_key, options, toolchain)
