# SPDX-License-Identifier: GPL-2.0-only
"""PURE. What a search has found as an issue of KCIDB v5.3; the runs are exported by `lab report --kcidb SESSION`."""

from __future__ import annotations

import json

from lab.campaign.bisect.decide import bisection_of, parent_of
from lab.campaign.bisect.mail import mail
from lab.campaign.bisect.model import Outcome, Search
from lab.campaign.bisect.sought import tally
from lab.campaign.bisect.wording import culprit_of, headline, titled
from lab.errors import BadInput
from lab.host.filecache import key_of
from lab.report.kcidb import ORIGIN, VERSION
from lab.text.words import one_line


def issue(search: Search, origin: str) -> str:
    """One JSON document with the issue and its culprit. Raises BadInput with every problem: no culprit, no origin."""
    culprit = culprit_of(search) if search.ended is Outcome.CULPRIT else ""
    problems = (
        [] if ORIGIN.fullmatch(origin) else [f"--kcidb {origin!r}: an origin is letters (a-z), digits and underscores"]
    )
    problems += [] if culprit else [f"{headline(search)}: an issue of KCIDB needs a culprit"]
    if problems:
        raise BadInput(problems, hint="lab bisect report DIR, without --kcidb")
    found, suspect = bisection_of(search), search.range.named(culprit)
    parent = parent_of(search, found, culprit)
    sure = found.belief().culprit[search.range.history.suspects.index(culprit)]
    subject, _, text = mail(search).partition("\n\n")
    told = {
        "id": f"{origin}:{key_of(search.asked.case, search.asked.nic, str(search.sought), culprit)}",
        "version": 1,
        "origin": origin,
        "report_subject": one_line(subject.removeprefix("Subject: ")),
        "culprit": {"code": True, "tool": False, "harness": False},
        "comment": text,
        "misc": {
            "culprit": culprit,
            "title": titled(search, suspect),
            "history": search.range.kind,
            "confidence": round(sure, 6),
            "fail_runs": {name: str(tally(search.of(name), search.sought)) for name in (culprit, parent) if name},
        },
    }
    return json.dumps({"version": VERSION, "issues": [told]}, indent=1, allow_nan=False) + "\n"
