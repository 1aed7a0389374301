# SPDX-License-Identifier: GPL-2.0-only
"""A search from wherever it stands to its end, in a folder that tells all of it whatever happens."""

from __future__ import annotations

from pathlib import Path

from lab.campaign.bisect import wording
from lab.campaign.bisect.engine import Engine
from lab.campaign.bisect.laboratory import Conductor
from lab.campaign.bisect.mail import mail
from lab.campaign.bisect.model import Search
from lab.campaign.bisect.record import save
from lab.contracts import Progress
from lab.host.records import write_whole
from lab.session.conduct import Conducts, Listener

MAIL, LOG = "report.txt", "git-bisect.log"


def search_on(folder: Path, search: Search, listener: Listener, conduct: Conducts, tell: Progress) -> None:
    """For who holds the folder (`record.held`). Raises KeyboardInterrupt when a signal ended it, LabTrouble."""
    save(folder, search)
    Engine(search, Conductor(search, listener, conduct), lambda now: save(folder, now), tell).go()
    write_whole(folder / MAIL, mail(search).encode("utf-8", "replace"))
    write_whole(folder / LOG, "\n".join([*wording.log(search), ""]).encode("utf-8", "replace"))
