# SPDX-License-Identifier: GPL-2.0-only
"""Why guests did not run under KVM is told by every report that people read, and by those that programs do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import PurePosixPath

import pytest

from lab.report import Session, html, jsonl, junit, markdown, text
from lab.text.terminal import Console
from tests.unit.report import builder

WHY = "KVM refuses a guest with k: <b>failed</b> to set MSR\n\x1b[31m0x10a"
CLEAN = "failed"


def session(why: str) -> Session:
    run = builder.result()
    host = run.manifest.host.model_copy(update={"accelerator_why": why})
    told = replace(run, manifest=run.manifest.model_copy(update={"host": host}))
    return builder.session(told, replace(told, bundle="another"))


def on_screen(told: Session) -> str:
    out = StringIO()
    Console(file=out, width=200, no_color=True).print(text.overview(told))
    return out.getvalue()


PEOPLE = [html.render, markdown.render, on_screen]


@pytest.mark.parametrize("render", PEOPLE)
def test_people_are_told_once_why_it_was_slow(render: Callable[[Session], str]) -> None:
    told = render(session(WHY))
    lead = told.partition("<main>")[0]
    assert lead.count("Guests ran under TCG: KVM refuses a guest with k") == 1
    assert CLEAN in lead
    assert "\x1b" not in told
    assert "<b>failed" not in told or render is on_screen
    assert "Guests ran under" not in render(session(""))


def test_the_page_tells_it_of_the_host_as_well() -> None:
    assert "Guests ran under TCG" in html.render(session(WHY)).partition("<main>")[2]


def test_programs_are_told_in_a_field_of_its_own() -> None:
    told = session("there is no /dev/kvm")
    (first, _) = jsonl.render(told, PurePosixPath("/r")).splitlines()
    assert json.loads(first)["accelerator_why"] == "there is no /dev/kvm"
    assert b"accelerator_why: there is no /dev/kvm" in junit.render(told)


def test_one_run_shows_it_among_the_versions() -> None:
    out = StringIO()
    Console(file=out, width=200, no_color=True).print(text.show(session("no /dev/kvm").results[0]))
    assert "no /dev/kvm" in out.getvalue()
