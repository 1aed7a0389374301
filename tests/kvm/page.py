# SPDX-License-Identifier: GPL-2.0-only
"""`python -m tests.kvm.page FILE`: what a host with KVM is, and what the lab says there, as a page of plain text.

Nothing of it is sent anywhere: read it, then send it. This user's and the host's name are taken out.
"""

from __future__ import annotations

import argparse
import getpass
import re
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from lab.cli.exits import AS_PREDICTED, INTERRUPTED, OTHER_VERDICT
from lab.host.interrupt import end_in_order
from lab.text.terminal import say
from lab.text.words import printable

LIMIT = 3600  # seconds for a command
MOST = 60_000  # letters of each command's output
LAB = (sys.executable, "-P", "-m", "lab.cli")
FACTS = (
    ("uname", "-srmv"),
    ("grep", "-h", "^PRETTY_NAME", "/etc/os-release"),
    (
        "sh",
        "-c",
        "lscpu | grep -E '^(Model name|CPU\\(s\\)|Vendor|Virtualization|Hypervisor|CPU family|Model|Stepping)'",
    ),
    ("free", "-m"),
    ("ls", "-l", "/dev/kvm"),
    ("sh", "-c", "grep -H . /sys/module/kvm*/parameters/* 2>&1"),
    ("qemu-system-x86_64", "--version"),
    ("cat", "/sys/devices/system/clocksource/clocksource0/current_clocksource"),
    ("git", "log", "-1", "--format=%h %s"),
)
PAIRS = ("hold", "pin-vmsplice", "bystander", "release", "copy-control", "bytes-equal")
NICS = ("--nic", "virtio", "--nic", "e1000e-split")
CHECKS = (
    (*LAB, "doctor"),
    (*LAB, "run", "fast", "--cold", "--timing"),
    (*LAB, "run", "fast", "--timing"),
    (*LAB, "run", *PAIRS, *NICS, "--cold", "--timing"),
    (*LAB, "run", *PAIRS, *NICS, "--timing"),
    (*LAB, "run", *PAIRS, *NICS, "--timing", "--repeat", "5"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 every check ended as it should, 1 some did not (send the page all the more), 130 interrupted."""
    parser = argparse.ArgumentParser("python -m tests.kvm.page", description=__doc__)
    parser.add_argument("file", type=Path)
    options = parser.parse_args(arguments)
    end_in_order()
    statuses = []
    try:
        with options.file.open("w") as page:
            for argv in (*FACTS, *CHECKS):
                status, text = section(argv)
                page.write(cleaned(text))
                page.flush()
                if argv in CHECKS:
                    statuses.append(status)
                    say(f"{'ok ' if status == 0 else 'BAD'}  {' '.join(told(argv))}")
    except KeyboardInterrupt:
        say("interrupted; what was done so far is in the page", err=True)
        return INTERRUPTED
    say(f"\nRead {options.file}, then send it to us.")
    return OTHER_VERDICT if any(statuses) else AS_PREDICTED


def section(argv: Sequence[str]) -> tuple[int, str]:
    """Exit status of a command, and what stands in the page about it."""
    began = time.monotonic()
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=LIMIT, check=False
        )
        status, said = done.returncode, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as exc:
        status, said = 124, (exc.stdout or b"").decode(errors="replace")
    except OSError as exc:
        status, said = 127, str(exc)
    lines = "".join(f"    {printable(line)}\n" for line in said[-MOST:].splitlines())
    return status, f"$ {' '.join(told(argv))}\n{lines}= {status} after {time.monotonic() - began:.1f} s\n\n"


def told(argv: Sequence[str]) -> Sequence[str]:
    return ("lab", *argv[len(LAB) :]) if tuple(argv[: len(LAB)]) == LAB else argv


def cleaned(text: str, names: Sequence[tuple[str, str]] | None = None) -> str:
    """Without names of this user and host; whole words only, so `root` stays what else it means."""
    found = names if names is not None else ((str(Path.home()), "~"), (getpass.getuser(), "USER"), (_host(), "HOST"))
    for name, stands_for in found:
        if name and name not in ("root", "/", "localhost"):
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", stands_for, text)
    return text


def _host() -> str:
    return socket.gethostname()


if __name__ == "__main__":
    sys.exit(main())
