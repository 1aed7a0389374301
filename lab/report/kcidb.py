# SPDX-License-Identifier: GPL-2.0-only
"""KCIDB v5.3, as KernelCI takes reports: checkouts, builds, tests, and known issues with their incidents.

The words of a verdict are KCIDB's own. A test's path is the same every night: case, NIC profile, design and line of the
kernel; what was predicted is in `misc`, as KCIDB has no word for a failure that was expected.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from lab.errors import BadInput
from lab.evidence.manifest import KernelRecord
from lab.report.ktap import stable_names
from lab.report.model import RunResult, Session
from lab.report.wording import escape_of, one_line, reason
from lab.spec.known import Issue

VERSION = {"major": 5, "minor": 3}
ORIGIN = re.compile(r"[a-z0-9_]+")
_EXCERPT = 16_000
"""Characters of a log's excerpt that KCIDB takes, at most."""


def render(session: Session, origin: str, issues: Sequence[Issue] = ()) -> str:
    """The session as one JSON document. Raises BadInput for an origin that is none."""
    if not ORIGIN.fullmatch(origin):
        raise BadInput([f"--kcidb {origin!r}: an origin is letters (a-z), digits and underscores"])
    results, names = session.results, stable_names(session.results)
    kernels = {_key(result.manifest.kernel): result.manifest.kernel for result in results}
    document: dict[str, Any] = {
        "version": VERSION,
        "checkouts": list({c["id"]: c for c in (_checkout(k, origin) for k in kernels.values())}.values()),
        "builds": [_build(kernel, origin) for kernel in kernels.values()],
        "tests": [_test(result, name, origin) for result, name in zip(results, names, strict=True)],
    }
    met = [(result, issue) for result in results for issue in issues if issue.told in result.known]
    if met:
        document["issues"] = [_issue(issue, origin) for issue in dict.fromkeys(issue for _, issue in met)]
        document["incidents"] = [_incident(result, issue, origin) for result, issue in met]
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _key(kernel: KernelRecord) -> str:
    """Of one build: what was booted, and of what it was made."""
    return _digest(kernel.release, kernel.sha256, kernel.config_sha256, kernel.series)


def _source(kernel: KernelRecord) -> str:
    """Of one checkout. A packaged kernel's is its release: what Debian built it from is not ours to say."""
    return _digest(kernel.base or kernel.release, kernel.series)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:24]


def _checkout(kernel: KernelRecord, origin: str) -> dict[str, Any]:
    told = {"id": f"{origin}:{_source(kernel)}", "origin": origin, "valid": True}
    named = {"git_commit_name": one_line(kernel.described), "comment": one_line(kernel.base or kernel.release)}
    if re.fullmatch("[0-9a-f]{64}", kernel.series):
        named["patchset_hash"] = kernel.series
    return {**told, **{key: value for key, value in named.items() if value}}


def _build(kernel: KernelRecord, origin: str) -> dict[str, Any]:
    return {
        "id": f"{origin}:{_key(kernel)}",
        "checkout_id": f"{origin}:{_source(kernel)}",
        "origin": origin,
        "architecture": "x86_64",
        "config_name": "+".join(map(one_line, kernel.fragments)) or "distribution",
        "status": "PASS",
        "comment": one_line(kernel.name),
        "misc": {"sha256": kernel.sha256, "config_sha256": kernel.config_sha256, "design": one_line(kernel.design)},
    }


def _test(result: RunResult, name: str, origin: str) -> dict[str, Any]:
    manifest, seconds = result.manifest, result.manifest.seconds
    host = manifest.host
    told = {
        "id": _test_id(result, origin),
        "build_id": f"{origin}:{_key(manifest.kernel)}",
        "origin": origin,
        "path": "lab." + ".".join(re.sub(r"[^A-Za-z0-9_-]+", "_", part) for part in name.split(".")),
        "status": result.verdict.word.value,
        "comment": one_line(reason(result), 1000),
        "log_excerpt": "\n".join(f"{f.word.value} {f.rule}: {one_line(f.message)}" for f in result.verdict.findings)[
            :_EXCERPT
        ],
        "duration": round(seconds.provision + seconds.drive + seconds.collect, 3),
        "environment": {"comment": one_line(f"QEMU {host.qemu}, {host.accelerator}, {manifest.nic}")},
        "misc": {
            "predicted": result.predicted,
            "as_predicted": result.as_predicted,
            "escape": escape_of(result.verdict.ledger),
            "reproduce": one_line(manifest.reproduce),
            "lab_version": one_line(manifest.lab_version),
        },
    }
    started = _time(manifest.started)
    return {**told, "start_time": started} if started else told


def _time(started: str) -> str:
    """As RFC 3339 has it; "" for what is none."""
    try:
        told = datetime.datetime.fromisoformat(started)
    except ValueError:
        return ""
    return (told if told.tzinfo else told.replace(tzinfo=datetime.UTC)).isoformat()


def _test_id(result: RunResult, origin: str) -> str:
    manifest = result.manifest
    return f"{origin}:{_digest(manifest.session, manifest.run, manifest.started)}"


def _issue(issue: Issue, origin: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": f"{origin}:{issue.id}",
        "version": 1,
        "origin": origin,
        "comment": one_line(issue.told),
    }
    if re.match(r"https?://[^\s]+$", issue.link):
        told["report_url"] = issue.link
    return {**told, "misc": {"since": issue.since, "culprit": issue.culprit}}


def _incident(result: RunResult, issue: Issue, origin: str) -> dict[str, Any]:
    return {
        "id": f"{origin}:{_digest(issue.id, _test_id(result, origin))}",
        "origin": origin,
        "issue_id": f"{origin}:{issue.id}",
        "issue_version": 1,
        "test_id": _test_id(result, origin),
        "present": True,
    }
