# SPDX-License-Identifier: GPL-2.0-only
"""`python -m tests.kvm.inside OUT`, in the first-level guest: runs the steps and leaves what they said in OUT."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO

from tests.kvm.steps import Step, chosen

KILL_AFTER = 60  # seconds that an interrupted step has to tidy up


def main(out: Path) -> int:
    """`steps` in OUT names what to run. Each step is told when it begins and when it has ended."""
    with (out / "steps.jsonl").open("a", buffering=1) as told:
        _tell(told, up=round(_uptime(), 1), release=os.uname().release)
        for step in chosen((out / "steps").read_text().split()):
            _tell(told, begun=step.name, up=round(_uptime(), 1))
            began = _uptime()
            status = _play(step, out)
            _tell(told, ended=step.name, status=status, seconds=round(_uptime() - began, 1))
        _tell(told, done=True)
    return 0


def _tell(told: TextIO, **fields: object) -> None:
    told.write(json.dumps(fields) + "\n")


def _uptime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _play(step: Step, out: Path) -> int:
    """Exit status of a step; 124 where its time was up."""
    home = Path(pwd.getpwnam(step.user).pw_dir)
    results = home / "results" / step.name
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(Path.cwd()),
        "LAB_RESULTS": str(results),
        "COLUMNS": "120",
    }
    with (out / f"{step.name}.log").open("wb") as log:
        process = subprocess.Popen(
            step.argv,
            user=step.user,
            group=step.user,
            extra_groups=os.getgrouplist(step.user, pwd.getpwnam(step.user).pw_gid),
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        status = _wait(process, step.limit)
        log.write(subprocess.run(["dmesg", "-c"], capture_output=True, check=False).stdout)
    if results.is_dir():
        shutil.copytree(
            results, out / "results" / step.name, ignore_dangling_symlinks=True, copy_function=shutil.copyfile
        )
    return status


def _wait(process: subprocess.Popen[bytes], limit: int) -> int:
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(KILL_AFTER)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return 124


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
