# SPDX-License-Identifier: GPL-2.0-only
"""The suites of this checkout: suites/NAME.toml."""

from __future__ import annotations

from lab.host.paths import suites_dir
from lab.spec.suite import SuiteSpec, load_suite


def suite_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in suites_dir().glob("*.toml")))


def read_suite(name: str) -> SuiteSpec:
    """Raises BadInput with file and key of every problem."""
    path = suites_dir() / f"{name}.toml"
    return load_suite(path.read_text(), str(path))
