# SPDX-License-Identifier: GPL-2.0-only
"""Whether the lab says of a mutant what is true: red sides first."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.campaign.mutants import Judged, Mutant, Outcome, chosen, is_wanted, judge_mutants, mutant_of
from lab.cli.mutants import _of_case, as_record, code_of, summary
from lab.errors import BadInput
from lab.kernels.base import Base
from lab.kernels.naming import parse_name
from lab.kernels.recipes import recipe_of
from lab.kernels.series import Patch, Series
from lab.report.model import RunResult
from lab.verdict.model import Word
from tests.known import expand
from tests.unit.report.builder import result

MUTANT = Mutant("put-hook~x", "put-hook", "a defect", ("hold", "release"), "virtio")
MESSAGE = "Why.\n\nDefect: the last page is skipped\nCaught-by: hold, release\n"


def judged(*results: RunResult, mutant: Mutant = MUTANT) -> Judged:
    (one,) = judge_mutants([mutant], results)
    return one


def on_mutant(hold: Word, release: Word = Word.PASS) -> tuple[RunResult, RunResult]:
    return result(hold, "hold", MUTANT.name), result(release, "release", MUTANT.name)


def on_control(hold: Word = Word.PASS, release: Word = Word.PASS) -> tuple[RunResult, RunResult]:
    return result(hold, "hold", "put-hook"), result(release, "release", "put-hook")


def test_caught_by_the_case_that_claims_it() -> None:
    one = judged(*on_mutant(Word.FAIL), *on_control())
    assert one.outcome is Outcome.CAUGHT
    assert (one.seen[0].rules, one.seen[1].words) == (("billed",), (Word.PASS,))
    assert code_of([one]) == 0
    assert summary([one]).startswith("1 of 1 mutants caught")
    assert as_record(one)["outcome"] == "caught"


@pytest.mark.parametrize(
    ("mutant", "control", "outcome", "code"),
    [
        ((Word.PASS, Word.PASS), (), Outcome.NOT_CAUGHT, 1),
        ((Word.PASS, Word.FAIL), (), Outcome.BY_OTHER, 1),
        ((Word.ERROR, Word.PASS), (), Outcome.NOT_CAUGHT, 1),
        ((Word.SKIP, Word.PASS), (), Outcome.NOT_CAUGHT, 1),
        ((Word.MISS, Word.FAIL), (), Outcome.NO_VERDICT, 3),
        ((Word.FAIL, Word.MISS), (), Outcome.NO_VERDICT, 3),
        ((Word.FAIL, Word.PASS), (Word.FAIL,), Outcome.NOT_GREEN, 1),
        ((Word.FAIL, Word.PASS), (Word.PASS, Word.ERROR), Outcome.NOT_GREEN, 1),
        ((Word.FAIL, Word.PASS), (Word.MISS,), Outcome.NO_VERDICT, 3),
    ],
)
def test_everything_else_is_not_caught(
    mutant: tuple[Word, Word], control: tuple[Word, ...], outcome: Outcome, code: int
) -> None:
    one = judged(*on_mutant(*mutant), *on_control(*control))
    assert (one.outcome, code_of([one])) == (outcome, code)
    assert MUTANT.name in summary([one])


def test_what_was_found_against_the_kernel_without_the_defect_is_told() -> None:
    one = judged(*on_mutant(Word.FAIL), *on_control(hold=Word.ERROR))
    assert one.seen[0].control_told == "billed: nothing was mapped: 0 of 256.0 MiB"
    assert one.seen[1].control_told == ""
    assert _of_case(one.seen[0]).endswith("(without the defect ERROR by billed: nothing was mapped: 0 of 256.0 MiB)")


def test_one_that_must_end_as_an_error_is_not_caught_by_a_failure() -> None:
    refused = Mutant("put-hook~x", "put-hook", "nothing is mapped", ("hold",), "virtio", Word.ERROR)
    control = on_control()[0]
    assert judged(result(Word.ERROR, "hold", refused.name), control, mutant=refused).outcome is Outcome.CAUGHT
    assert judged(result(Word.FAIL, "hold", refused.name), control, mutant=refused).outcome is Outcome.NOT_CAUGHT


def test_each_repeat_must_catch_it_and_a_run_that_left_nothing_says_nothing() -> None:
    again = result(Word.PASS, "hold", MUTANT.name, repeat=2)
    assert judged(*on_mutant(Word.FAIL), again, *on_control()).outcome is Outcome.NOT_CAUGHT
    assert judged(*on_mutant(Word.FAIL)).outcome is Outcome.NO_VERDICT
    assert judged(*on_control()).outcome is Outcome.NO_VERDICT


def test_verdicts_on_another_nic_do_not_count() -> None:
    other = result(Word.FAIL, "hold", MUTANT.name, "e1000e-split")
    assert judged(other, *on_control()).outcome is Outcome.NO_VERDICT


def test_only_the_cells_that_are_claimed_are_run() -> None:
    other = Mutant("put-hook~y", "put-hook", "d", ("dead-memcg",), "e1000e-split")
    kernels = [(name, "put-hook") for name in ("put-hook", "put-hook~x", "put-hook~y")]
    runs = expand("s", kernels, ["virtio", "e1000e-split"], ["hold", "release", "dead-memcg"], 1)
    assert {(r.kernel, r.nic, r.case) for r in filter(is_wanted([MUTANT, other]), runs)} == {
        ("put-hook", "virtio", "hold"),
        ("put-hook", "virtio", "release"),
        ("put-hook~x", "virtio", "hold"),
        ("put-hook~x", "virtio", "release"),
        ("put-hook", "e1000e-split", "dead-memcg"),
        ("put-hook~y", "e1000e-split", "dead-memcg"),
    }


def patch(message: str) -> Patch:
    return Patch("mutant: x", "a", message, "", "x.patch")


def test_a_mutant_is_read_from_its_trailers() -> None:
    parts = parse_name("put-hook+recycling~x")
    assert parts is not None
    read = mutant_of(parts, patch(MESSAGE + "Nic: virtio\nCaught-as: ERROR\n"), "e1000e-split")
    assert read == Mutant(
        "put-hook+recycling~x",
        "put-hook+recycling",
        "the last page is skipped",
        ("hold", "release"),
        "virtio",
        Word.ERROR,
    )
    assert mutant_of(parts, patch(MESSAGE), "e1000e-split").nic == "e1000e-split"


def test_every_mistake_in_the_trailers_is_told() -> None:
    parts = parse_name("put-hook~x")
    assert parts is not None
    with pytest.raises(BadInput) as caught:
        mutant_of(parts, patch("Caught-by: holt\nNic: virtoi\nCaught-as: MISS\n"), "virtio")
    assert caught.value.problems == (
        "x.patch: no trailer Defect",
        "x.patch: unknown case 'holt'; did you mean hold?",
        "x.patch: unknown NIC profile 'virtoi'; did you mean virtio or virtio-tap?",
        "x.patch: Caught-as: 'MISS' is neither FAIL nor ERROR",
    )


def test_names_that_are_none_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.kernels.recipes.images", lambda: tmp_path)
    with pytest.raises(BadInput, match="there is no mutant"):
        chosen([], "", "virtio")
    with pytest.raises(BadInput) as caught:
        chosen(["x"], "put-hook", "virtoi")
    assert [p.split(" '")[0] for p in caught.value.problems] == [
        "unknown mutant",
        "unknown design",
        "unknown NIC profile",
    ]


PATCH = "From: A <a@b>\nSubject: [PATCH] {0}\n\nDefect: d\nCaught-by: hold\n---\n"
PATCH += "diff --git a/{0} b/{0}\nnew file mode 100644\n--- /dev/null\n+++ b/{0}\n@@ -0,0 +1 @@\n+x\n"


@pytest.fixture
def on_any_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutants `one` and `old` of put-hook, of which `old` goes on 6.12 alone."""
    for path in ("put-hook/6.12/0001-a", "mutants/put-hook/one", "mutants/put-hook/old"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{path}.patch").write_text(PATCH.format(Path(path).name))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "guest.config").write_text("CONFIG_A=y\n")
    monkeypatch.setattr("lab.kernels.recipes.images", lambda: tmp_path)

    def found(spec: str) -> Base:
        if spec.startswith("9"):
            raise BadInput([f"base {spec!r} is not known."])
        return Base(spec, "package", spec, f"key of {spec}", spec, f"{spec}.4-1")

    def fits(base: Base, series: Series) -> bool:
        if base.spec != "6.12" and series.patches[-1].subject == "old":
            raise BadInput(['patch 2 of 2, "old", does not apply:\n  hunk 1'])
        return True

    monkeypatch.setattr("lab.kernels.recipes.find_base", found)
    monkeypatch.setattr("lab.campaign.mutants.fits", fits)


@pytest.mark.usefixtures("on_any_base")
def test_another_base_has_the_mutants_that_fit_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert [m.name for m in chosen([], "", "virtio")] == ["put-hook~old", "put-hook~one"]
    assert capsys.readouterr().err == ""
    (one,) = chosen([], "put-hook", "virtio", "7.3")
    assert (one.name, one.control) == ("7.3:put-hook~one", "7.3:put-hook")
    assert 'left out: 7.3:put-hook~old: patch 2 of 2, "old", does not apply:' in capsys.readouterr().err


@pytest.mark.usefixtures("on_any_base")
def test_a_mutant_of_a_line_is_for_that_line_and_what_comes_after(tmp_path: Path) -> None:
    lies = tmp_path / "mutants" / "put-hook" / "7.1" / "late.patch"
    lies.parent.mkdir()
    lies.write_text(PATCH.format("late"))
    assert [m.name for m in chosen([], "", "virtio")] == ["put-hook~old", "put-hook~one"]
    assert [m.name for m in chosen([], "", "virtio", "7.3")] == ["7.3:put-hook~late", "7.3:put-hook~one"]
    assert recipe_of("7.1:put-hook~late").series.patches[-1].subject == "late"
    (lies.parent / "one.patch").write_text(PATCH.format("other"))
    told = [recipe_of(f"{base}put-hook~one").series.patches[-1].subject for base in ("", "7.0:", "7.1:", "7.3:")]
    assert told == ["one", "one", "other", "other"]
    with pytest.raises(BadInput, match=r"this mutant is for Linux 7\.1 and what comes after"):
        recipe_of("put-hook~late")
    with pytest.raises(BadInput, match=r"no mutant 'none'; there are late, old, one\."):
        recipe_of("7.3:put-hook~none")


@pytest.mark.usefixtures("on_any_base")
def test_a_mutant_that_was_asked_for_has_to_fit_and_a_base_to_be_known() -> None:
    with pytest.raises(BadInput) as caught:
        chosen(["old"], "", "virtio", "7.3")
    assert caught.value.problems == ('7.3:put-hook~old: patch 2 of 2, "old", does not apply:\n  hunk 1',)
    with pytest.raises(BadInput) as caught:
        chosen([], "", "virtio", "9.9")
    assert caught.value.problems == ("base '9.9' is not known.",)
