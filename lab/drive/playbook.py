# SPDX-License-Identifier: GPL-2.0-only
"""Runs an Ansible playbook through ansible-runner and tells what changed and what failed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.contracts import Progress
from lab.errors import HostTrouble
from lab.host.interrupt import held_back
from lab.host.paths import project_root, temporary_folder

LOCALHOST = {
    "all": {"hosts": {"localhost": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}}
}
"""Inventory for playbooks that work on this host."""


@dataclass
class PlaybookResult:
    """Names of the tasks that changed something, and `host: task: message` for each that failed."""

    changed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def _environment() -> dict[str, str]:
    """Our own ansible.cfg and no other, and the venv's Ansible first on PATH."""
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}:/usr/sbin:/sbin",
        "ANSIBLE_CONFIG": str(project_root() / "playbooks" / "ansible.cfg"),
        "LC_ALL": "C.UTF-8",
    }


def _take(event: Mapping[str, Any], result: PlaybookResult, progress: Progress) -> None:
    data = event.get("event_data", {})
    task, res = str(data.get("task", "")), data.get("res", {})
    match event.get("event"):
        case "playbook_on_task_start":
            progress(task)
        case "runner_on_ok" if res.get("changed"):
            result.changed.append(task)
        case "runner_on_failed" | "runner_on_unreachable" if not data.get("ignore_errors"):
            detail = [str(res[key]) for key in ("msg", "stdout", "stderr") if res.get(key)]
            result.failed.append(f"{data.get('host')}: {task}: {' '.join(detail)[:2000]}")


def run_playbook(
    path: Path,
    *,
    inventory: Mapping[str, Any],
    progress: Progress,
    extra_vars: Mapping[str, Any] | None = None,
    check: bool = False,
) -> PlaybookResult:
    """Run a playbook to its end; `check` only asks what would change. Raises HostTrouble naming each failed task.

    Ansible's own files lie in a folder of the host's for temporary files, and go with it.
    """
    import ansible_runner  # a pair needs no playbook

    result = PlaybookResult()

    def take(event: Mapping[str, Any]) -> None:
        _take(event, result, progress)

    with temporary_folder() as folder:
        # Without a cancel_callback ansible-runner takes SIGINT and SIGTERM for itself, and never gives them back.
        with held_back() as interrupted:
            runner = ansible_runner.run(
                private_data_dir=str(folder),
                playbook=str(path),
                inventory=dict(inventory),
                extravars=dict(extra_vars or {}),
                envvars=_environment(),
                settings={"pexpect_timeout": 1},  # how often it asks `cancel_callback`, in seconds
                cmdline="--check" if check else None,
                quiet=True,
                event_handler=take,
                cancel_callback=interrupted,
            )
        if runner.status == "successful":
            return result
        said = runner.stdout.read() if runner.stdout else ""
    detail = "\n".join(result.failed) or said[-2000:]
    raise HostTrouble(f"playbook {path.name} ended as {runner.status}:\n{detail}")
