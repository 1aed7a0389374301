# SPDX-License-Identifier: GPL-2.0-only
"""Hosts made fit for work orders: playbooks/fleet.yml, with this very lab."""

from __future__ import annotations

import tarfile
from pathlib import Path

from lab.contracts import Progress
from lab.drive.playbook import PlaybookResult, run_playbook
from lab.errors import HostTrouble
from lab.fleet.inventory import hosts_of, listing
from lab.host.paths import project_root, temporary_folder
from lab.host.version import lab_code

SOURCE = ("lab", "suites", "images", "playbooks", "pyproject.toml", "README.md", "LICENSE")
_NOT = ("__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache")


def make_fit(inventory: Path, progress: Progress) -> PlaybookResult:
    """Packages, the lab in a folder of its version, and the fleet's key. Raises BadInput, HostTrouble."""
    told = listing(inventory)
    hosts_of(told, str(inventory))
    variables = told.get("_meta", {}).get("hostvars", {})
    names = {host for group in told.values() if isinstance(group, dict) for host in group.get("hosts", ())}
    with temporary_folder() as folder:
        source = folder / "lab.tar.gz"
        pack_source(source)
        return run_playbook(
            project_root() / "playbooks" / "fleet.yml",
            inventory={"all": {"hosts": {name: variables.get(name, {}) for name in sorted(names)}}},
            extra_vars={"lab_source": str(source), "lab_code": lab_code()[:20]},
            progress=progress,
        )


def pack_source(target: Path) -> None:
    """The lab as it lies here, committed or not. Raises HostTrouble where that is no checkout."""
    if lacking := [name for name in SOURCE if not (project_root() / name).exists()]:
        raise HostTrouble(
            f"hosts are sent a checkout, and this lab was installed without its {', '.join(lacking)}: {project_root()}",
            hint="lab hosts setup of a checkout, or of pipx install --editable CHECKOUT",
        )

    def chosen(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if Path(info.name).name in _NOT or info.name.endswith(".egg-info") else info

    with tarfile.open(target, "w:gz", compresslevel=1) as tar:
        for name in SOURCE:
            tar.add(project_root() / name, arcname=name, filter=chosen)
