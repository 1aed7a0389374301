# SPDX-License-Identifier: GPL-2.0-only
"""`python -m lab.provision.guardian FOLDER`: waits for the end of a private folder's owner, and tidies up.

The owner holds the other end of standard input, and nobody else does.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from lab.host.interrupt import SIGNALS
from lab.host.workers import identity
from lab.provision.private import GUARDIAN
from lab.provision.sweep import tidy


def main(folder: Path) -> None:
    """What is said to the owner's group, or session, is not for us: it decides when it ends."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    try:
        (folder / GUARDIAN).write_text(identity(os.getpid()))
    except FileNotFoundError:
        return  # it is over already
    while os.read(0, 4096):
        pass
    tidy(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
