# SPDX-License-Identifier: GPL-2.0-only
"""JUnit XML for CI services: one test case a run.

Red means "not as predicted", so that a lab with predicted failures can be green. A run that is not as predicted is
never green, not even with PASS: where FAIL or ERROR was predicted, a PASS may be the lab's own mistake.

It is valid against the schema that Jenkins' xunit plugin has (junit-10.xsd), which pytest's `xunit2` follows too. That
knows no properties of a test case, so what a run was is told in its output, and files in the way that GitLab and
Jenkins read attachments.
"""

from __future__ import annotations

from collections import Counter

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from junitparser.junitparser import FinalResult

from lab.report.model import RunResult, Session
from lab.report.wording import escape_of, one_line, printable, reason, worst_first
from lab.verdict.model import Word

CURVE = "curve.svg"
"""Of a bundle: what is shown beside its test case."""


def render(session: Session) -> bytes:
    """The session as a JUnit XML document in UTF-8, with one suite."""
    suite = TestSuite(printable(session.name))
    suite.timestamp = printable(session.started)
    suite.add_property("command", printable(session.command))
    seen: Counter[tuple[str, str]] = Counter()
    for result in session.results:
        case = _case(result)
        seen[case.classname, case.name] += 1
        # CI services join results of one name: a repeat needs its own.
        if seen[case.classname, case.name] > 1:
            case.name = f"{case.name} #{seen[case.classname, case.name]}"
        suite.add_testcase(case)
    document = JUnitXml(suite.name)
    document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    document._elem.attrib.pop("skipped", None)  # which the schema has of a suite only
    return bytes(document.tostring())  # type: ignore[no-untyped-call]


def _case(result: RunResult) -> TestCase:
    manifest = result.manifest
    seconds = manifest.seconds
    case = TestCase(
        printable(manifest.case),
        f"{printable(manifest.kernel.name)}.{printable(manifest.nic)}",
        round(seconds.provision + seconds.drive + seconds.collect, 3),
    )
    outcome = _outcome(result)
    if outcome is not None:
        outcome.text = _findings(result)
        case.result = [outcome]
    told = {**_facts(result), "bundle": result.bundle, "reproduce": manifest.reproduce}
    lines = [f"{name}: {one_line(value)}" for name, value in told.items()]
    attached = f"[[ATTACHMENT|{printable(result.bundle)}/{CURVE}]]"
    case.system_out = "\n".join([*lines, _findings(result), attached])
    return case


def _outcome(result: RunResult) -> FinalResult | None:
    word = result.verdict.word
    if word is Word.SKIP:
        return Skipped(one_line(reason(result)), "SKIP")
    if not result.disagrees:
        return None
    kind = Error if word in (Word.ERROR, Word.MISS) else Failure
    return kind(one_line(f"{word.value}, predicted {result.instead_of}: {reason(result)}"), f"unexpected-{word.value}")


def _facts(result: RunResult) -> dict[str, str]:
    manifest = result.manifest
    escape = escape_of(result.verdict.ledger)
    return {
        "run": manifest.run,
        "predicted": result.predicted,
        "verdict": result.verdict.word.value,
        "kernel_release": manifest.kernel.release,
        "kernel_sha256": manifest.kernel.sha256,
        "image_sha256": manifest.host.image_sha256,
        "qemu": manifest.host.qemu,
        "accelerator": manifest.host.accelerator,
        "accelerator_why": manifest.host.accelerator_why,
        "escape": "" if escape is None else str(escape),
        "oom": result.verdict.oom.outcome.value,
        "known": "; ".join(result.known),
    }


def _findings(result: RunResult) -> str:
    findings = worst_first(result.verdict.findings)
    return "\n".join(f"{f.word.value} {f.rule}: {printable(f.message)} [{printable(f.pointer)}]" for f in findings)
