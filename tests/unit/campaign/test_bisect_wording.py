# SPDX-License-Identifier: GPL-2.0-only
"""What a search says: to people, to a list, and to git."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from lab.campaign.bisect.commits import commits_between
from lab.campaign.bisect.kcidb import issue
from lab.campaign.bisect.mail import mail
from lab.campaign.bisect.model import Asked, Outcome
from lab.campaign.bisect.wording import log, marks, percent, shown
from lab.errors import BadInput
from lab.text.words import printable
from tests.unit.campaign.histories import forked
from tests.unit.campaign.world import World, line_of, search_in, searched
from tests.unit.kernels.sourcetree import git


@pytest.mark.parametrize("subject", ["four", "side", "merge", "last"])
def test_git_replays_the_log_and_names_the_culprit(tmp_path: Path, subject: str) -> None:
    repository = forked(tmp_path / "r")
    asked = Asked("commits", "hold", "virtio", "start", "main", str(repository))
    history = commits_between(asked)
    culprit = next(s.name for s in history.suspects if s.subject == subject)
    left_out = next(s.name for s in history.suspects if s.subject == "two")
    search = searched(World(history, culprit, broken={left_out: "no"}), replace(search_in(history), asked=asked))
    text = "\n".join([*log(search), ""])
    (tmp_path / "log").write_text(text)
    done = subprocess.run(
        ["git", "bisect", "replay", str(tmp_path / "log")], cwd=repository, check=True, capture_output=True, text=True
    )
    assert f"{culprit} is the first bad commit" in done.stdout
    assert git(repository, "bisect", "log").count("git bisect skip") == text.count("git bisect skip")


def test_a_culprit_is_an_issue_of_kcidb() -> None:
    (found,) = json.loads(issue(searched(World(line_of(12), "c5")), "mine"))["issues"]
    assert (found["misc"]["culprit"], found["culprit"]["code"]) == ("c5", True)
    assert found["misc"]["confidence"] >= 0.99
    assert set(found["misc"]["fail_runs"]) == {"c4", "c5"}
    assert "c5" in found["report_subject"]


def test_kcidb_io_takes_the_issue() -> None:
    kcidb_io = pytest.importorskip("kcidb_io")
    version = kcidb_io.schema.V5_3 if hasattr(kcidb_io.schema, "V5_3") else kcidb_io.schema.LATEST
    document = json.loads(issue(searched(World(line_of(12), "c5")), "mine"))
    assert version.is_compatible_exactly(document)
    version.validate(document)
    del document["issues"][0]["origin"]
    with pytest.raises(Exception, match="origin"):
        version.validate(document)


def test_what_is_no_issue_of_kcidb_is_told_with_all_that_is_wrong() -> None:
    with pytest.raises(BadInput) as caught:
        issue(searched(World(line_of(3), "", passing=1.0)), "Mine!")
    assert len(caught.value.problems) == 2


def test_a_search_that_is_not_sure_tells_git_only_what_is_sure(tmp_path: Path) -> None:
    search = searched(World(line_of(12), "c5", broken={"c4": "no"}, odd={"c5": ("MISS", "boot")}))
    assert search.ended is Outcome.OPEN
    text = log(search)
    assert not any(line.startswith("# first bad") for line in text)
    assert "git bisect skip c4" in text
    assert "git bisect bad c6" in text
    assert "git bisect good c3" in text


def test_a_history_that_is_not_of_git_says_so() -> None:
    search = searched(World(line_of(6, "packages"), "c3"))
    assert all(line.startswith("#") for line in log(search))


def test_the_mail_has_culprit_confidence_tables_reproduction_and_environment() -> None:
    world = World(line_of(12), "c5", odd={"c7": ("FAIL", "kernel-alive")}, broken={"c3": "it cannot be built"})
    search = search_in(world.range)
    search.environment = ("QEMU 7.2.22, libvirt 9.0.0, tcg",)
    text = mail(searched(world, search))
    wanted = (
        'Subject: [bisected] hold on virtio: FAIL by charged since c5 ("subject of c5")',
        "Author: A <a@b>",
        "99.9",
        '6:6  c5 ("subject of c5")',
        '0:4  c4 ("subject of c4")',
        "Fisher's exact test",
        "Taken out of the bad end: 0:6",
        'Fixes: c5 ("subject of c5")',
        "#regzbot introduced: c5",
        "lab run hold",
        "lab bisect",
        "QEMU 7.2.22",
        "skipped  c3: it cannot be built",
    )
    assert [words for words in wanted if words not in text] == []
    own = [line for line in text.splitlines()[1:] if not line.startswith(" ")]
    assert max(map(len, own)) <= 75


def test_another_failure_is_told_apart() -> None:
    search = searched(World(line_of(12), "c5", odd={n: ("FAIL", "kernel-alive") for n in ("c6", "c7", "c8")}))
    (other,) = {e.suspect for e in search.entries} & {"c6", "c7", "c8"}
    assert f"{other}, 2 of its runs: kernel-alive said so" in mail(search)
    assert any(line.startswith(f"another failure: {other}") for line in shown(search))


def test_a_search_without_a_culprit_says_what_it_knows() -> None:
    text = mail(searched(World(line_of(6), "", passing=1.0)))
    assert "no culprit" in text
    assert "regzbot" not in text
    open_ = mail(searched(World(line_of(12), "c5", broken={"c4": "no", "c5": "no"})))
    assert "culprit among: c4" in open_


def test_runs_are_shown_as_marks_in_their_order() -> None:
    search = searched(World(line_of(12), "c5"))
    assert marks(search, "c5").startswith("xx(xx")
    lines = shown(search)
    row = next(line for line in lines if " c5 " in line and "##########" in line)
    assert "8:8" in row
    assert "xx(xxxxxx)" in row
    assert max(map(len, lines)) <= 120


def test_a_long_range_is_shown_where_something_is_known() -> None:
    lines = shown(searched(World(line_of(200), "c77")))
    assert len(lines) < 40
    assert any("of which none was run" in line for line in lines)


def test_what_others_wrote_stays_on_its_line() -> None:
    plain = line_of(4)
    bad = replace(plain.suspects[1], subject="a\x1b[31m\nSubject: x", author="\x07b")
    history = replace(plain, suspects=(plain.suspects[0], bad, *plain.suspects[2:]))
    text = mail(searched(World(history, "c2")))
    assert [line for line in text.splitlines() if line.startswith("Subject:")] == text.splitlines()[:1]
    assert printable(text) == text


def test_nothing_likely_is_told_as_certain() -> None:
    assert percent(0.99999) == "99.99 %"
    assert percent(0.0) == "0.00 %"
