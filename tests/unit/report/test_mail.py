# SPDX-License-Identifier: GPL-2.0-only
"""The mail: what a list of the kernel takes, whatever stands in a bundle."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.report.mail import EVIDENCE, IN_FULL, WIDTH, Letter, News, Side, body, command, message, subject
from tests.unit.cli.test_escapes import EVIL, FORBIDDEN

LONG = "abuser held 252.6 MiB and was charged 0.7 MiB, 0.0 MiB of it for queues: 251.9 MiB escaped, 13.9 are tolerated"
NEWS = News(
    kind="new fail",
    where="hold on virtio",
    word="FAIL",
    was="PASS",
    since="6.12.118",
    first="2026-11-27 02:10 UTC",
    why=LONG,
    good=Side("6.12.117", ("release 6.12.117", "sha256 0123"), ":48"),
    bad=Side("6.12.118", ("release 6.12.118", "sha256 4567"), "3:3"),
    evidence=(LONG, "held 252.6 MiB, charged 0.7 MiB") * 9,
    sure="0.01% if nothing had changed",
    reproduce="lab run hold --kernel 6.12.118 --nic virtio",
    bisect="lab bisect --case hold --nic virtio --packages 6.12.117..6.12.118",
)
LETTER = Letter("stable", (NEWS,), still=3, known=2, reported_by="Lab <lab@example.org>", report="/srv/report.md")


def test_a_mail_says_all_that_a_maintainer_asks_for() -> None:
    assert subject(LETTER) == "hold on virtio: new fail since 6.12.118"
    text = body(LETTER)
    for wanted in (
        *("FAIL, was PASS", "Since       6.12.118", "Bad         6.12.118", "Good        6.12.117", "sha256 0123"),
        *(
            "First seen  2026-11-27",
            "fail:runs   3:3 bad, :48 good",
            "    lab run hold --kernel 6.12.118 --nic virtio\n",
        ),
        *("    lab bisect --case hold", "\nReported-by: Lab <lab@example.org>\n"),
        "Known and still there: 3 (2 of them known)\n",
    ):
        assert wanted in text, wanted
    assert sum(line.startswith("|") for line in text.splitlines()) == EVIDENCE
    assert "more lines)" in text


def test_what_was_mended_is_reported_by_nobody() -> None:
    mended = replace(LETTER, news=(replace(NEWS, kind="fixed", worse=False, word="PASS", was="FAIL"),))
    assert "Reported-by" not in body(mended)


def _is_fit(text: str) -> None:
    assert all(len(line) <= WIDTH for line in text.splitlines() if not line.startswith("Reported-by"))
    assert all(line == line.rstrip() for line in text.split("\n"))
    assert not FORBIDDEN.search(text)


@given(st.text(max_size=300))
def test_whatever_it_quotes_it_has_72_columns_and_no_trailing_blanks(said: str) -> None:
    side = Side(said, (said, said), said)
    news = News(said, said, said, said, said, said, said, True, side, side, (said, said), said, said, said)
    letter = Letter(said, (news,) * (IN_FULL + 2), 1, 1, (said,), "", said)
    _is_fit(body(letter))
    assert "\n" not in subject(letter)


def test_nothing_of_a_bundle_reaches_a_mail_as_it_is() -> None:
    told = replace(NEWS, since=EVIL, why=EVIL, evidence=(EVIL,), reproduce=f"lab run {EVIL}", where=EVIL)
    letter = replace(LETTER, news=(told,))
    _is_fit(body(letter))
    mail = message(letter, ["a@example.org"], "lab@example.org", "Fri, 27 Nov 2026 02:00:00 +0000")
    assert b"\nBcc:" not in bytes(mail)
    assert {name.lower() for name in mail.keys()} >= {"subject", "from", "to", "date", "message-id"}  # noqa: SIM118


@given(st.lists(st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=1, max_size=200)))
def test_a_command_that_is_pasted_has_the_words_it_had(words: list[str]) -> None:
    lines = command(shlex.join(["printf", "%s\\n", *words]), indent="  ")
    assert all(len(line) <= WIDTH for line in lines)
    ran = subprocess.run(["/bin/sh", "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert ran.stdout == "\n".join([*words, ""]) if words else "\n"


def test_a_command_stays_one_command() -> None:
    (line,) = command("lab run hold; touch /tmp/x $(id)")
    assert line.strip() == "lab run 'hold;' touch /tmp/x '$(id)'"
    assert command("lab run 'unfinished") == []


@pytest.mark.parametrize("others", [1, 40])
def test_of_many_changes_the_first_are_told_in_full(others: int) -> None:
    letter = replace(LETTER, news=(NEWS,) * (IN_FULL + others))
    text = body(letter)
    assert text.count("Evidence:") == IN_FULL
    assert text.count("* new fail: hold on virtio") == min(others, 30)
    assert ("* and 10 more" in text) is (others == 40)
    assert subject(letter).endswith(f"(and {IN_FULL + others - 1} more)")


def test_a_mail_that_is_sent_twice_has_one_message_id() -> None:
    def name(letter: Letter) -> str:
        return str(
            message(letter, ["a@example.org"], "lab@example.org", "Fri, 27 Nov 2026 02:00:00 +0000")["Message-ID"]
        )

    assert name(LETTER) == name(replace(LETTER))
    assert name(LETTER) != name(replace(LETTER, still=4))
