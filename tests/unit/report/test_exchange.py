# SPDX-License-Identifier: GPL-2.0-only
"""JSON Lines, JUnit and KTAP: the formats that other programs read."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import PurePosixPath
from xml.etree import ElementTree as ET

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase

from lab.report import jsonl, junit, ktap
from lab.report.model import RunResult
from lab.verdict.model import Oom, OomOutcome, Word
from tests.unit.report import builder

ROOT = PurePosixPath("/srv/results/night")
WEIRD = 'a <b> & "c" ]]> # d \x1b[31m \x00 \udcff\nnext'


def cases(*runs: RunResult) -> list[TestCase]:
    document = JUnitXml.fromstring(junit.render(builder.session(*runs)))
    return [case for suite in document for case in suite]


def test_jsonl_has_one_object_a_run_with_every_key() -> None:
    lines = jsonl.render(builder.full_session(), ROOT).splitlines()
    assert len(lines) == 32
    record = json.loads(lines[4])
    assert record == {
        "run": "stock-e1000e-split-bystander-1",
        "session": "",
        "started": "2026-03-01T10:00:00+00:00",
        "kernel": "stock",
        "kernel_release": "6.12.107-lab",
        "kernel_sha256": "ab" * 32,
        "nic": "e1000e-split",
        "case": "bystander",
        "repeat": 1,
        "verdict": "FAIL",
        "predicted": "FAIL",
        "as_predicted": True,
        "findings": [
            {"rule": f.rule, "word": f.word, "message": f.message, "pointer": f.pointer}
            for f in builder.full_session().results[4].verdict.findings
        ],
        "known": [],
        "ledger": {"held": 335544320, "charged": 5242880, "escape": 330301440, "gone": 345400934, "limit": 67108864},
        "cost": None,
        "oom": {"outcome": "global-kill-other", "victims": ["copy@/lab/innocent"]},
        "host": "",
        "lab_version": "0.1.0",
        "accelerator": "tcg",
        "accelerator_why": "",
        "seconds": {"provision": 2.5, "drive": 5.0, "collect": 0.5},
        "bundle": "/srv/results/night/bundles/stock-e1000e-split-bystander-1",
    }


def test_jsonl_says_null_where_there_is_nothing() -> None:
    run = builder.result(Word.MISS, book=builder.ledger(points=0, limit=None))
    assert set(jsonl.as_record(run, ROOT)["ledger"].items()) == {
        (name, None) for name in ("held", "charged", "escape", "gone", "limit")
    }


def test_jsonl_survives_weird_text_and_an_empty_session() -> None:
    text = jsonl.render(builder.session(builder.result(Word.ERROR, message=WEIRD)), ROOT)
    text.encode("utf-8")
    assert len(text.splitlines()) == 1
    assert json.loads(text)["findings"][1]["message"] == WEIRD
    assert jsonl.render(builder.session(), ROOT) == ""


def test_junit_is_green_for_what_was_predicted() -> None:
    runs = [builder.result(word) for word in (Word.PASS, Word.FAIL, Word.ERROR, Word.MISS, Word.DONE)]
    assert [case.result for case in cases(*runs)] == [[]] * 5


@pytest.mark.parametrize(
    ("word", "predicted", "kind"),
    [
        (Word.FAIL, "PASS", Failure),
        (Word.FAIL, "ERROR", Failure),
        (Word.ERROR, "PASS", Error),
        (Word.ERROR, "FAIL", Error),
        (Word.MISS, "FAIL", Error),
        (Word.PASS, "FAIL", Failure),
        (Word.PASS, "ERROR", Failure),
        (Word.DONE, "PASS", Failure),
    ],
)
def test_junit_is_red_for_what_was_not_predicted(word: Word, predicted: str, kind: type) -> None:
    (case,) = cases(builder.result(word, predicted=predicted))
    (outcome,) = case.result
    assert type(outcome) is kind
    assert outcome.type == f"unexpected-{word}"
    assert outcome.message.startswith(f"{word}, predicted {predicted}: ")
    assert "receiver/telemetry.jsonl:57" in outcome.text


def test_junit_skips_with_the_reason() -> None:
    (case,) = cases(builder.result(Word.SKIP, predicted="PASS"))
    (outcome,) = case.result
    assert isinstance(outcome, Skipped)
    assert outcome.message == "the NIC model igb needs QEMU 8"


def test_junit_names_the_case_and_carries_the_provenance() -> None:
    (case,) = cases(builder.result(Word.FAIL))
    assert (case.classname, case.name, case.time) == ("stock.virtio", "hold", 8.0)
    told = dict(line.partition(": ")[::2] for line in case.system_out.splitlines())
    wanted = {
        "run": "stock-virtio-hold-1",
        "predicted": "FAIL",
        "verdict": "FAIL",
        "kernel_release": "6.12.107-lab",
        "kernel_sha256": "ab" * 32,
        "image_sha256": "ef" * 32,
        "qemu": "7.2.22",
        "accelerator": "tcg",
        "escape": "263192576",
        "oom": "none",
        "bundle": "bundles/stock-virtio-hold-1",
        "reproduce": "lab run --kernel stock --nic virtio --case hold",
    }
    assert told | wanted == told
    assert case.system_out.splitlines()[-1] == "[[ATTACHMENT|bundles/stock-virtio-hold-1/curve.svg]]"


OUTCOME = ({"type", "message"}, set[str](), set[str]())
JUNIT: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, set(), {"testsuite"}),
    "testsuite": (
        {*("time", "skipped", "timestamp", "hostname", "id", "package", "file", "log", "url", "group")},
        {"name", "tests", "failures", "errors"},
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "testcase": (
        {"time", "classname", "group"},
        {"name"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": (set(), {"name", "value"}, set()),
    "system-out": (set(), set(), set()),
    **dict.fromkeys(("skipped", "error", "failure"), OUTCOME),
}
"""By element: attributes it may have, those it must have, and elements within, as far as the lab could write them. The
facts of junit-10.xsd of Jenkins' xunit plugin, which has no others."""
SECONDS = re.compile(r"\d*(\.\d*)?")


def assert_fits(element: ET.Element) -> None:
    """The facts of the schema on an element and all in it."""
    may, must, inside = JUNIT[element.tag]
    assert must <= set(element.keys()) <= may | must, (element.tag, element.keys())
    assert {child.tag for child in element} <= inside, (element.tag, [child.tag for child in element])
    assert SECONDS.fullmatch(element.get("time", ""))
    for child in element:
        assert_fits(child)


def test_junit_fits_the_schema_that_jenkins_has() -> None:
    weird = builder.result(Word.ERROR, predicted="PASS", case=WEIRD, message=WEIRD, bundle=WEIRD)
    for session in (builder.full_session(), builder.session(), builder.session(weird)):
        assert_fits(ET.fromstring(junit.render(session)))  # noqa: S314 - ours


def test_the_facts_of_the_schema_see_what_does_not_fit() -> None:
    for wrong in (
        '<testsuites skipped="1"/>',
        '<testsuite name="a" tests="1" failures="0"/>',
        '<testcase name="a"><properties/></testcase>',
        '<testcase name="a" time="1 s"/>',
    ):
        with pytest.raises(AssertionError):
            assert_fits(ET.fromstring(wrong))  # noqa: S314 - ours


def test_junit_counts_and_keeps_repeats_apart() -> None:
    document = JUnitXml.fromstring(junit.render(builder.full_session()))
    assert (document.tests, document.failures, document.errors, document.skipped) == (32, 1, 2, 1)
    assert [case.name for case in cases(builder.result(), builder.result(repeat=2))] == ["hold", "hold #2"]


def test_junit_of_weird_text_still_parses() -> None:
    (case,) = cases(builder.result(Word.ERROR, predicted="PASS", case=WEIRD, message=WEIRD, bundle=WEIRD))
    assert case.name == 'a <b> & "c" ]]> # d \ufffd[31m \ufffd \ufffd\nnext'
    assert "<b>" in case.result[0].message


def test_junit_of_an_empty_session_is_an_empty_suite() -> None:
    assert cases() == []
    assert JUnitXml.fromstring(junit.render(builder.session())).tests == 0


KTAP_LINE = re.compile(r"KTAP version 1|1\.\.\d+|(not )?ok \d+ [^#\n]+(# (SKIP|XFAIL|XPASS) .+)?|# .+")
HOLD = "hold.virtio.stock.6.12"


def ktap_results(*runs: RunResult) -> list[str]:
    lines = ktap.render(builder.session(*runs)).splitlines()
    assert [line for line in lines if not KTAP_LINE.fullmatch(line)] == []
    assert lines[:2] == ["KTAP version 1", f"1..{len(runs)}"]
    return lines[2:]


def test_ktap_numbers_every_run() -> None:
    results = [r for r in ktap_results(*builder.full_session().results) if "ok " in r and not r.startswith("#")]
    assert [int(r.removeprefix("not ").split()[1]) for r in results] == list(range(1, 33))


def test_ktap_says_ok_without_a_word_for_a_pass_only() -> None:
    assert ktap_results(builder.result()) == [f"ok 1 {HOLD}"]
    for word in (Word.FAIL, Word.ERROR, Word.MISS, Word.DONE):
        assert ktap_results(builder.result(word, predicted="PASS"))[-1] == f"not ok 1 {HOLD}"


def test_ktap_tells_a_predicted_fail_from_a_pass() -> None:
    run = builder.result(Word.FAIL)
    assert ktap_results(run) == [
        "# FAIL",
        "# predicted FAIL",
        f"# {run.verdict.findings[1].word} billed: {run.verdict.findings[1].message} [receiver/telemetry.jsonl:57]",
        f"# run {run.manifest.run}",
        f"# bundle {run.bundle}",
        f"ok 1 {HOLD} # XFAIL {run.verdict.findings[1].message}",
    ]


def test_ktap_never_excuses_a_fault_of_the_kernel() -> None:
    assert ktap_results(builder.dead())[-1] == f"not ok 1 {HOLD}"


def test_ktap_says_so_when_a_pass_was_not_predicted() -> None:
    assert ktap_results(builder.result(Word.PASS, predicted="FAIL"))[:2] == ["# PASS", "# predicted FAIL"]
    assert (
        ktap_results(builder.result(Word.PASS, predicted="FAIL"))[-1] == f"not ok 1 {HOLD} # XPASS FAIL was predicted"
    )


@pytest.mark.parametrize("word", [Word.ERROR, Word.MISS])
def test_ktap_calls_no_trouble_a_pass_though_it_was_predicted(word: Word) -> None:
    assert ktap_results(builder.result(word))[-1].startswith(f"ok 1 {HOLD} # SKIP {word}, as predicted: ")


def test_ktap_skips_what_says_nothing() -> None:
    skip, done = builder.result(Word.SKIP, predicted="PASS"), builder.result(Word.DONE)
    assert ktap_results(skip)[-1] == f"ok 1 {HOLD} # SKIP the NIC model igb needs QEMU 8"
    assert ktap_results(done)[-1] == f"ok 1 {HOLD} # SKIP measured, nothing promised"


def test_ktap_names_are_the_same_every_night_and_each_is_there_once() -> None:
    def names(*runs: RunResult) -> list[str]:
        told = (line for line in ktap_results(*runs) if not line.startswith("#"))
        return [line.removeprefix("not ").split()[2] for line in told]

    tonight = builder.result()
    tomorrow = replace(tonight, manifest=tonight.manifest.model_copy(update={"run": "hold.virtio.ffffffff"}))
    assert names(tonight) == names(tomorrow) == [HOLD]
    assert names(tonight, builder.result(repeat=2)) == [HOLD, f"{HOLD}.2"]
    every = names(*builder.full_session().results)
    assert len(set(every)) == 32
    assert names(*builder.full_session().results[:7]) == every[:7]


def test_ktap_survives_weird_text_and_an_empty_session() -> None:
    oom = OomOutcome(Oom.GLOBAL_OTHER, (WEIRD,))
    lines = ktap_results(builder.result(Word.ERROR, predicted="PASS", case=WEIRD, message=WEIRD, bundle=WEIRD, oom=oom))
    assert lines[-1].startswith("not ok 1 ")
    assert ktap.render(builder.session()) == "KTAP version 1\n1..0\n"
