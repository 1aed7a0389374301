# SPDX-License-Identifier: GPL-2.0-only
"""What `pip install .` carries beside modules: sources of guest programs, and what `lab new` begins with."""

from __future__ import annotations

import tomllib

from lab.host.paths import project_root, suites_dir


def test_an_installed_lab_has_the_sources_of_its_experiments_programs() -> None:
    """The patterns of setuptools, which are relative to a package; `pip wheel .` was seen to follow them."""
    asked = tomllib.loads((project_root() / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["*"]
    packages = [path.parent for path in suites_dir().glob("*/__init__.py")]
    carried = {path for package in packages for pattern in asked for path in package.glob(pattern)}
    wanted = {
        path
        for part in ("guest", "skeleton")
        for path in suites_dir().rglob(f"{part}/**/*")
        if path.is_file() and "build" not in path.parts
    }
    assert {path.name for path in wanted} >= {"zc-client.c", "zc-client.h", "Makefile", "case.py.txt"}
    assert wanted <= carried
