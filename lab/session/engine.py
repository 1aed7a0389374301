# SPDX-License-Identifier: GPL-2.0-only
"""The process that runs a plan: pytest with what it needs, imported before there is a plan.

Started by lab.session.start_engine, it reads one order, a line of JSON on standard input: `argv` for pytest, `log` for
all that it says, and `instead`, a command line to become (in a namespace of its own), [] to stay. No order: nothing to
do.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)  # there is nothing to tidy up until lab.session.plugin takes it

# ruff: noqa: E402, F401 - what a controller would import when the plan is there
import pytest
import xdist.dsession
import xdist.plugin
from _pytest.config import default_plugins

import lab.archive.reports
import lab.plan.session
import lab.report.html
import lab.report.junit
import lab.report.ktap
import lab.report.markdown
import lab.session.learnt
import lab.session.plugin
import lab.session.scheduler

for _name in default_plugins:
    importlib.import_module(f"_pytest.{_name}")

atexit.register(gc.freeze)  # see lab.__main__


def main() -> int:
    """Exit status of pytest."""
    lab.report.html.page()
    line = sys.stdin.readline()
    if not line:
        return 0
    order = json.loads(line)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for here, there in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(here, there)
    if order["instead"]:
        os.execvp(order["instead"][0], order["instead"])  # noqa: S606 - an argv list of ours
    return int(pytest.main(order["argv"]))


if __name__ == "__main__":
    sys.exit(main())
