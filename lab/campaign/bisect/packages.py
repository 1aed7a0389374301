# SPDX-License-Identifier: GPL-2.0-only
"""A history of packaged kernels: fetched, not built."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from lab.campaign.bisect.model import Range, Suspect
from lab.errors import BadInput
from lab.kernels.catalogue import CatalogueKernel, everything, resolve
from lab.kernels.packages import upstream_of, version_key
from lab.plan.design import design_of

HINT = "--packages 6.12..7.3, or exact names: lab kernels --all lists them"


def packages_between(text: str, design: str = "") -> Range:
    """The range that `FROM..TO` means, of kernels that can be had. Raises BadInput, HostTrouble."""
    good, dots, bad = text.partition("..")
    if not (good and dots and bad) or bad.startswith("."):
        raise BadInput([f"--packages {text!r}: write FROM..TO"], hint=HINT)
    found = [_package(name) for name in (good, bad)]
    problems = [problem for _, told in found for problem in told]
    if problems:
        raise BadInput(problems, hint=HINT)
    ends = [kernel for kernel, _ in found if kernel is not None]
    return line_of(ends[0], ends[1], everything(), design)


def line_of(good: CatalogueKernel, bad: CatalogueKernel, known: Iterable[CatalogueKernel], design: str = "") -> Range:
    """PURE. What lies between two packages as the sources are related.

    A stable line is a branch: 6.16.12 is not in the history of 7.3.4, but Linux 6.16 is, for which the oldest package
    of that line stands. So a line in between counts once, the bad end's own line by all its packages up to it, and of
    the good end's nothing. Raises BadInput.
    """
    first, last = version_key(good.version), version_key(bad.version)
    if first >= last:
        raise BadInput(
            [f"--packages: {good.name} is not older than {bad.name}"],
            hint="the older kernel comes first; where that is the one that fails, add --sought PASS",
        )
    between = [k for k in known if k.flavour == bad.flavour and first < version_key(k.version) < last]
    lines = [list(group) for _, group in groupby(sorted(between, key=lambda k: version_key(k.version)), _line)]
    chosen: list[CatalogueKernel] = []
    gone = []
    for kernels in lines:
        whole = [k for k in kernels if not k.is_bare]
        if not whole:
            gone.append(kernels[0].line)
        elif kernels[0].line == bad.line:
            chosen += whole
        elif kernels[0].line != good.line:
            chosen += whole[:1]
    about = [f"of {', '.join(gone)} no complete package can be had"] if gone else []
    return _as_range(good, [*chosen, bad], design, about)


def _line(kernel: CatalogueKernel) -> str:
    return kernel.line


def _package(name: str) -> tuple[CatalogueKernel | None, list[str]]:
    try:
        (kernel,) = resolve((name,))
    except BadInput as exc:
        return None, [f"--packages: {problem}" for problem in exc.problems]
    if not isinstance(kernel, CatalogueKernel):
        return None, [f"--packages: {name} is no package"]
    if kernel.is_bare:
        return None, [f"--packages: of {kernel.name} only the vmlinuz can be had, which boots no guest"]
    return kernel, []


def _as_range(good: CatalogueKernel, others: Sequence[CatalogueKernel], design: str, about: Sequence[str]) -> Range:
    names = [k.release for k in (good, *others)]
    clash = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if clash:
        raise BadInput([f"--packages: {name} can be had in several versions" for name in clash], hint=HINT)
    suspects = tuple(_suspect(k, design, (before,)) for k, before in zip(others, names, strict=False))
    return Range("packages", _suspect(good, design, ()), suspects, tuple(about))


def _suspect(kernel: CatalogueKernel, design: str, parents: tuple[str, ...]) -> Suspect:
    where = f", {kernel.archive}" if kernel.archive else ""
    asked = f"{kernel.release}@{design}" if design_of(design or "stock") != "stock" else kernel.release
    return Suspect(
        kernel.release,
        asked,
        f"Linux {upstream_of(kernel.version)} ({kernel.package} {kernel.version}{where})",
        parents=parents,
    )
