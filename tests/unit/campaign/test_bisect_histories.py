# SPDX-License-Identifier: GPL-2.0-only
"""Three kinds of history, and what of them cannot be: git is real, kernels are none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.campaign.bisect import commits, patches
from lab.campaign.bisect.asking import begun, budget_of, kind_of
from lab.campaign.bisect.commits import commits_between
from lab.campaign.bisect.costs import FRESH, HOT, build_seconds
from lab.campaign.bisect.model import Asked, Budget
from lab.campaign.bisect.packages import line_of
from lab.campaign.bisect.patches import patches_of
from lab.errors import BadInput
from lab.kernels.catalogue import CatalogueKernel
from tests.unit.campaign.histories import commit, forked
from tests.unit.kernels.sourcetree import change, git, repository


def package(version: str, *, bare: bool = False, archive: str = "") -> CatalogueKernel:
    upstream = version.partition("-")[0]
    release = f"{upstream}+deb13-amd64"
    line = ".".join(upstream.split(".")[:2])
    known = CatalogueKernel(
        release, f"linux-image-{release}", version, line, "generic", 1, "stock", True, release, (), 1, "x"
    )
    return replace(known, is_bare=bare, archive=archive)


KNOWN = [
    *map(package, ("6.12.90-1", "6.12.117-1", "6.16.3-1", "6.16.12-1", "6.17.8-1", "6.18.5-1", "6.18.9-1")),
    package("7.0.1-1", bare=True),
    *map(package, ("7.2.6-1", "7.2.9-1", "7.3.4-1")),
]


def named(version: str) -> CatalogueKernel:
    return next(k for k in KNOWN if k.version == f"{version}-1")


def versions(good: str, bad: str) -> list[str]:
    found = line_of(named(good), named(bad), KNOWN)
    return [s.name.partition("+")[0] for s in (found.good, *found.suspects)]


def test_lines_between_count_once_by_their_oldest_and_the_last_line_in_full() -> None:
    assert versions("6.12.90", "7.2.9") == ["6.12.90", "6.16.3", "6.17.8", "6.18.5", "7.2.6", "7.2.9"]
    assert versions("6.18.5", "7.3.4") == ["6.18.5", "7.2.6", "7.3.4"]


def test_within_one_line_every_package_counts() -> None:
    assert versions("6.12.90", "6.12.117") == ["6.12.90", "6.12.117"]
    assert versions("6.16.3", "6.16.12") == ["6.16.3", "6.16.12"]


def test_packages_are_one_after_the_other_and_what_cannot_be_had_is_told() -> None:
    found = line_of(named("6.18.5"), named("7.3.4"), KNOWN)
    assert [s.parents for s in found.suspects] == [("6.18.5+deb13-amd64",), ("7.2.6+deb13-amd64",)]
    assert found.about == ("of 7.0 no complete package can be had",)
    assert found.history.bad == "7.3.4+deb13-amd64"


@pytest.mark.parametrize(("good", "bad"), [("7.3.4", "6.12.90"), ("7.2.6", "7.2.6")])
def test_the_older_package_is_the_good_end(good: str, bad: str) -> None:
    with pytest.raises(BadInput, match="is not older than") as refused:
        line_of(named(good), named(bad), KNOWN)
    assert "--sought PASS" in refused.value.hint


def asked(root: Path, good: str = "start", bad: str = "main") -> Asked:
    return Asked("commits", "hold", "virtio", good, bad, str(root))


def test_commits_come_with_their_parents_merges_included(tmp_path: Path) -> None:
    found = commits_between(asked(forked(tmp_path / "r")))
    by_subject = {s.subject: s for s in found.suspects}
    assert set(by_subject) == {"one", "two", "three", "four", "side", "side2", "merge", "last"}
    assert by_subject["merge"].parents == (by_subject["four"].name, by_subject["side2"].name)
    assert by_subject["one"].parents == (found.good.name,)
    assert by_subject["two"].fixes == ('0123456789ab ("older")',)
    assert by_subject["one"].author == "a <a@b>"
    assert found.history.bad == by_subject["last"].name
    assert set(found.history.parents[by_subject["merge"].name]) == set(by_subject["merge"].parents)


def test_a_commit_and_its_revert_have_the_same_source(tmp_path: Path) -> None:
    root = forked(tmp_path / "r")
    before = git(root, "rev-parse", "HEAD").strip()
    commit(root, "more")
    git(root, "revert", "--no-edit", "HEAD")
    found = commits_between(asked(root, before, "main"))
    assert found.good.content == found.bad.content != found.suspects[0].content


def test_ends_that_are_not_there_are_told_together(tmp_path: Path) -> None:
    root = forked(tmp_path / "r")
    with pytest.raises(BadInput) as refused:
        commits_between(asked(root, "nosuch", "--evil"))
    assert [p.split(":")[0] for p in refused.value.problems] == ["--good 'nosuch'", "--bad '--evil'"]
    with pytest.raises(BadInput, match="there is no such folder"):
        commits_between(asked(tmp_path / "nowhere"))


@pytest.mark.parametrize(("good", "bad", "why"), [("main", "start", "no ancestor"), ("main", "main", "the same")])
def test_a_good_end_that_is_not_before_the_bad_one_is_refused(tmp_path: Path, good: str, bad: str, why: str) -> None:
    with pytest.raises(BadInput, match=why):
        commits_between(asked(forked(tmp_path / "r"), good, bad))


def test_a_good_end_on_another_branch_is_refused_with_the_merge_base(tmp_path: Path) -> None:
    root = forked(tmp_path / "r")
    two = git(root, "rev-parse", "aside~2").strip()
    with pytest.raises(BadInput, match=f"both go back to {two[:12]}"):
        commits_between(asked(root, "aside", "main~2"))


def test_what_takes_a_commit_out_again_applies_to_the_bad_end(tmp_path: Path) -> None:
    root = forked(tmp_path / "r")
    found = commits_between(asked(root))
    four = next(s for s in found.suspects if s.subject == "four")
    recipe = commits.without(asked(root), found.bad, four)
    (patch,) = recipe.series.patches
    assert patch.subject == 'Revert "four"'
    assert "-int four;" in patch.diff
    assert recipe.base.revision == found.bad.name
    assert recipe.name == f"bisect-{found.bad.name[:12]}-without-{four.name[:8]}"


def test_another_config_is_another_kernel(tmp_path: Path) -> None:
    plain = asked(tmp_path)
    (tmp_path / "x.config").write_text("CONFIG_X=y\n")
    named_so = commits.kernel_name("a" * 40, replace(plain, configs=(str(tmp_path / "x.config"),)))
    assert named_so.startswith("bisect-aaaaaaaaaaaa-")
    assert commits.kernel_name("a" * 40, plain) == "bisect-aaaaaaaaaaaa"


@pytest.fixture
def series(tmp_path: Path) -> Asked:
    """Three patches on a source."""
    root = tmp_path / "linux"
    root.mkdir()
    repository(root)
    folder = tmp_path / "series"
    folder.mkdir()
    for number, name in enumerate(("init.c", "mm.c", "net.c"), start=1):
        text = (root / name).read_text().splitlines()[-1]
        patch = change(root, f"patch {number}", {name: (text, f"{text} /* {number} */")})
        (folder / f"{number}.patch").write_bytes(patch)
    return Asked("patches", "hold", "virtio", source=str(folder), base=f"{root}#HEAD")


def test_each_patch_of_a_series_is_a_suspect(series: Asked) -> None:
    found = patches_of(series)
    assert [s.name for s in (found.good, *found.suspects)] == ["base", "1/3", "2/3", "3/3"]
    assert [s.subject for s in found.suspects] == ["patch 1", "patch 2", "patch 3"]
    counts = [len(patches.recipe_of(series, s).series.patches) for s in (found.good, *found.suspects)]
    assert counts == [0, 1, 2, 3]
    assert len({s.kernel for s in (found.good, *found.suspects)}) == 4


def test_a_patch_can_be_left_out_of_its_series(series: Asked) -> None:
    found = patches_of(series)
    left = patches.without(series, found.suspects[1]).series.patches
    assert [p.subject for p in left] == ["patch 1", "patch 3"]
    assert patches.paths_between(series, "base", "2/3") == {"init.c", "mm.c"}


def test_one_patch_is_its_own_culprit(series: Asked) -> None:
    with pytest.raises(BadInput, match="one patch is its own culprit"):
        patches_of(replace(series, source=f"{series.source}/1.patch"))


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    wrong = Asked(
        "commits",
        "nosuch",
        "nonic",
        "x",
        "y",
        str(tmp_path / "no"),
        configs=(str(tmp_path / "no.config"),),
        design="nodesign",
        confidence=2.0,
        family="ipv5",
    )
    with pytest.raises(BadInput) as refused:
        begun(wrong)
    text = " ".join(refused.value.problems)
    assert all(w in text for w in ("nosuch", "nonic", "no.config", "nodesign", "confidence 2", "ipv5"))


def test_a_finding_that_no_rule_of_the_case_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--sought"):
        begun(replace(asked(forked(tmp_path / "r")), sought="nosuchrule"))


def test_budgets_are_runs_or_time() -> None:
    assert budget_of("") == Budget()
    assert budget_of("40runs") == Budget(runs=40)
    assert budget_of("1.5h|10runs") == Budget(10, 5400.0)
    for text in ("40", "h", "-1runs", "40runs|soon", "0runs"):
        with pytest.raises(BadInput, match="--budget"):
            budget_of(text)


def test_one_history_is_meant() -> None:
    assert kind_of("6.12..7.3", "", "", ("", "")) == "packages"
    assert kind_of("", "", "", ("a", "")) == "commits"
    for given in (("", "", "", ("", "")), ("6.12..7.3", "r", "", ("", ""))):
        with pytest.raises(BadInput, match="name one history"):
            kind_of(*given)


def test_hot_headers_cost_most_and_documentation_nothing() -> None:
    one, hot = build_seconds(["net/ipv4/tcp.c"]), build_seconds(["include/linux/mm.h"])
    assert build_seconds(["Documentation/x.rst"]) < one < build_seconds(["include/net/tcp.h"]) < hot == HOT < FRESH
