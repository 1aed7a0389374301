# SPDX-License-Identifier: GPL-2.0-only
"""What a command must not wait for. libvirt, paramiko and their like take 0.1 s and more each; a TAB may take 0.3 s."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {
    *("ansible_runner", "cryptography", "jinja2", "junitparser", "libvirt", "matplotlib", "paramiko", "pytest"),
    *("stamina", "structlog", "yaml"),
}


def heavy(*words: str, completing: str = "") -> set[str]:
    """What of it `lab WORDS` has imported when it ends, or `lab` that completes what stands before the cursor."""
    told = "atexit.register(lambda: print('loaded:', *sys.modules, file=sys.stderr))"
    code = f"import atexit, sys; {told}; import lab.__main__; lab.__main__.main()"
    environ = {"PATH": "/usr/bin:/bin", "LAB_RESULTS": "/nowhere"}
    if completing:
        cursor = completing.count(" ")
        environ |= {"_LAB_COMPLETE": "complete_bash", "COMP_WORDS": completing, "COMP_CWORD": str(cursor)}
    argv = [sys.executable, "-c", code, *words]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False, env=environ)
    assert ended.returncode == 0, ended.stderr
    loaded = ended.stderr.partition("loaded: ")[2].split()
    assert "lab.cli" in loaded
    return HEAVY & set(loaded)


@pytest.mark.parametrize("words", ["--help", "cases", "cases --json", "run --help", "kernel build --help"])
def test_lists_and_help_come_at_once(words: str) -> None:
    assert heavy(*words.split()) == set()


@pytest.mark.parametrize(
    "typed", ["lab ", "lab run ho", "lab run --nic v", "lab run --kernel put", "lab show 2", "lab kernel build p"]
)
def test_a_tab_is_answered_at_once(typed: str) -> None:
    assert heavy(completing=typed) == set()


def test_what_is_heavy_has_these_names() -> None:
    code = "import lab.session.prepare, lab.drive.ssh, sys; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"libvirt", "paramiko", "jinja2"} <= set(told) & HEAVY
