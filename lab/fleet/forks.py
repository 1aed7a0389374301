# SPDX-License-Identifier: GPL-2.0-only
"""Attempts that are forked: what one takes to load is loaded, and in memory, once for all attempts of a session."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from lab.experiments.found import all_cases
from lab.fleet.attempts import FleetFolder
from lab.fleet.batch import TRY_ELSEWHERE
from lab.fleet.carry import Planned, planned
from lab.host.interrupt import SIGNALS, ends_with
from lab.host.version import lab_code, lab_version


def loaded(session: Path) -> Planned:
    """A session's plan, and in memory all else that attempts at its batches use. Raises BadInput."""
    known = planned(session)
    all_cases()  # whoever judges needs their rules
    lab_version()
    lab_code()
    gc.collect()
    gc.freeze()  # what is loaded by now stays shared with the children
    return known


def remembered(session: Path) -> None:
    """The list of hosts, where it has changed: read here, no child has to read it."""
    with contextlib.suppress(OSError, ValueError, KeyError):  # the attempt that needs it tells
        FleetFolder(session).hosts()


def forked(attempt: Callable[[], int]) -> int:
    """The pid of a child whose exit status is that of the attempt; SIGINT ends it when this process has ended.

    It has no file of this process but standard input and output. For a process with one thread.
    """
    parent = os.getpid()
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return pid
    status = 1
    try:
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        status = attempt() if ends_with(parent, signal.SIGINT) else TRY_ELSEWHERE
    except BaseException:  # noqa: BLE001 - a child ends here, whatever happens
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
