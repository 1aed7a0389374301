# SPDX-License-Identifier: GPL-2.0-only
"""What those who do the runs of a session tell of them, a line each: `lab run` shows it as it comes."""

from __future__ import annotations

import contextlib
import json
import time

from lab.plan.session import EVENTS_FILE, SessionPlan


def tell(plan: SessionPlan, **event: object) -> None:
    """Append one line to the session's events. A full disk takes none, and that is no trouble of the run's."""
    with contextlib.suppress(OSError), (plan.folder / EVENTS_FILE).open("a") as f:
        f.write(json.dumps({"t": time.time(), **event}) + "\n")
