# SPDX-License-Identifier: GPL-2.0-only
"""Kernels of a search are built for real, by make and git, of a source of four files; bundles are real, and no guest
boots."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lab.archive.reports import judged
from lab.campaign.bisect import commits
from lab.campaign.bisect.ahead import NICE, Ahead
from lab.campaign.bisect.commits import commits_between
from lab.campaign.bisect.costs import FRESH
from lab.campaign.bisect.decide import QUICK
from lab.campaign.bisect.engine import UnfitError
from lab.campaign.bisect.kernels import is_there
from lab.campaign.bisect.laboratory import Conductor
from lab.campaign.bisect.model import REVERT, Asked, Entry, Purpose, Search, Suspect
from lab.campaign.bisect.prices import pace_of
from lab.campaign.bisect.runs import environment_of, seen_of
from lab.contracts import BootableKernel, HostSize
from lab.errors import BadInput, DeadlinePassed
from lab.experiments.found import case_named
from lab.fleet.answers import Answer
from lab.fleet.conduct import OnHosts
from lab.host.paths import project_root
from lab.host.workers import identity, living
from lab.kernels import products, recipes
from lab.kernels.build import builder, find_built
from lab.kernels.fragments import Fragment
from lab.kernels.stock import CatalogueKernel, unpacked_dir
from lab.plan.matrix import expand
from lab.report.model import RunResult
from lab.session.conduct import Conducted, Listener, conduct
from lab.session.room import room_of
from lab.spec.request import SessionRequest
from lab.units import Deadline, wait_until
from tests.unit.campaign.world import line_of, run_of, search_in
from tests.unit.cli.conftest import write_run, write_session
from tests.unit.fleet.made import plan_in
from tests.unit.kernels.sourcetree import git, repository
from tests.unit.verdict.machine import KERNELS

PATIENCE = timedelta(minutes=5)  # other processes give way to all that runs on this host
GUEST = Fragment("guest.config", "CONFIG_PVH=y\nCONFIG_NET=y\nCONFIG_E1000E=y\n")
STEPS = (
    ("faster", "net.c", "return 2;", "return 3;"),
    ("broken", "mm.c", "return 1;", "return nosuch;"),
    ("mended", "mm.c", "return nosuch;", "return 1;"),
    ("words", "mm.c", "/* line 3 */", "/* line three */"),
    ("more", "init.c", "mm() + net()", "net() + mm() + 7"),
)


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Conductor:
    """The laboratory of a search through five commits, in a cache of its own, with one pair."""
    monkeypatch.setattr("lab.session.room.room_of", lambda *_: 1)
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("lab.kernels.tree.TREE_SPACE", 0)
    monkeypatch.setattr("lab.kernels.build.OBJECTS_SPACE", 0)
    monkeypatch.setattr("lab.kernels.recipes._guest", lambda: GUEST)
    init = tmp_path / "init"
    init.write_bytes(b"INIT")
    monkeypatch.setattr("lab.guestimage.build.ensure_init", lambda _: init)
    root = tmp_path / "linux"
    root.mkdir()
    repository(root)
    git(root, "tag", "start")
    for subject, file, old, new in STEPS:
        path = root / file
        path.write_text(path.read_text().replace(old, new))
        git(root, "commit", "-q", "-a", "-m", subject)
    asked = Asked("commits", "hold", "e1000e-split", "start", "main", str(root), results=str(tmp_path / "results"))
    return Conductor(Search(asked, commits_between(asked), "2026-01-01T00:00:00"), Listener())


def suspect(laboratory: Conductor, subject: str) -> Suspect:
    return next(s for s in laboratory.search.range.suspects if s.subject == subject)


def test_commits_are_built_and_one_that_does_not_build_says_why(built: Conductor) -> None:
    keys = {s.subject: built.make(s) for s in built.search.range.suspects if s.subject != "broken"}
    keys["source"] = built.make(built.search.range.good)
    assert keys["words"] == keys["mended"] == keys["faster"]  # a comment makes the very same kernel
    assert len({keys[name] for name in ("source", "faster", "more")}) == 3
    with pytest.raises(UnfitError, match=r"it cannot be built: the source does not build:.*mm\.c:\d+.*nosuch"):
        built.make(suspect(built, "broken"))


def test_a_kernel_of_a_search_is_known_by_its_name_afterwards(built: Conductor) -> None:
    from lab.kernels.catalogue import resolve
    from lab.kernels.recipe import Recipe

    one = suspect(built, "more")
    built.make(one)
    (kernel,) = resolve((one.kernel,))
    assert isinstance(kernel, Recipe)
    assert kernel.base.revision == one.name


def test_what_is_there_costs_a_run_and_a_neighbour_less_than_the_first(built: Conductor) -> None:
    built.search.entries.append(Entry("good", Purpose.SEARCH, 1, run_of("PASS", 1, "s")))
    first = suspect(built, "more")
    assert built.prices.cost(first) == 10 + FRESH / 2
    built.search.contents[first.name] = built.make(first)
    assert built.prices.cost(first) == 10
    assert 10 < built.prices.cost(suspect(built, "words")) < 10 + FRESH / 4


def guests_at_work(request: SessionRequest, folder: Path, listener: Listener, **__: Any) -> Conducted:  # noqa: ANN401
    """A session, looked at while its runs are at work."""
    assert request.names == ("hold",)
    plan = plan_in(folder / "s1", ("hold",))
    listener.planned(plan)
    listener.doing("hold runs")
    return Conducted(plan, False, {})


def at_the_builder(ahead: Ahead) -> None:
    """Return when the process waits for `another` builder."""
    wait_until(
        lambda: (True if "another" in ahead._last_said() else None, ahead._last_said()),
        deadline=Deadline.after("the process to come to the builder", PATIENCE),
    )


def process_of(laboratory: Conductor) -> subprocess.Popen[bytes]:
    """The process that makes a kernel beside the runs."""
    process = laboratory._ahead._process
    assert process is not None
    return process


def test_a_kernel_that_was_built_ahead_is_there_when_it_is_needed(built: Conductor) -> None:
    built.make(built.search.range.good)
    more = suspect(built, "more")
    made_beside = built.means().making
    assert made_beside(more.name) > QUICK
    built.ahead((more, suspect(built, "faster")))
    assert made_beside(more.name) > QUICK  # it is begun, and is not there
    assert process_of(built).wait(PATIENCE.total_seconds()) == 0
    assert find_built(commits.recipe_of(built.search.asked, more))
    assert made_beside(more.name) == QUICK
    built.conduct = guests_at_work
    built.run([(more, 1)], lambda *_: None, lambda *_: None)
    assert built._ahead.making == suspect(built, "faster").kernel
    key = built.make(suspect(built, "faster"))  # it is awaited
    assert built._ahead.making == ""
    assert key != built.make(more)


def test_what_is_being_built_is_awaited_by_its_name_and_a_deadline(
    built: Conductor, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    built.make(built.search.range.good)
    more = suspect(built, "more")
    with builder("another", lambda _: None):
        built.ahead((more,))
        at_the_builder(built._ahead)
        before = os.getpriority(os.PRIO_PROCESS, process_of(built).pid)
        monkeypatch.setattr("lab.campaign.bisect.ahead.BUILD_LIMIT", timedelta(0))
        with pytest.raises(DeadlinePassed, match=rf"kernel {more.kernel}, begun ahead"):
            built._ahead.free(more.kernel, told.append)
        assert told[-1].startswith(f"waiting for {more.kernel}, begun ahead: ")
        if os.geteuid() == 0:  # who alone may take niceness back
            pid = process_of(built).pid
            assert os.getpriority(os.PRIO_PROCESS, pid) == os.getpriority(os.PRIO_PROCESS, 0) == before - NICE
        built.ahead(())


def test_a_wrong_guess_is_ended_and_the_builder_is_free(built: Conductor) -> None:
    built.make(built.search.range.good)
    more, words = suspect(built, "more"), suspect(built, "words")
    with builder("another", lambda _: None):
        built.ahead((more, words))
        process = process_of(built)
        at_the_builder(built._ahead)
        built.ahead((more,))  # still wanted
        assert process_of(built) is process
        built.ahead((words,))
        assert process.returncode not in (None, 0)
        assert built._ahead.making == words.kernel
        other = process_of(built)
        built._ahead.free(more.kernel, lambda _: None)
        assert other.returncode is not None
    assert products.being_built() == ("", "")
    assert built.make(more)


def test_what_cannot_be_built_says_so_when_it_is_needed(built: Conductor) -> None:
    built.make(built.search.range.good)
    broken = suspect(built, "broken")
    built.ahead((broken,))
    assert process_of(built).wait(PATIENCE.total_seconds()) != 0
    built.ahead((broken,))
    assert built._ahead.making == ""  # and is not tried again and again
    with pytest.raises(UnfitError, match=r"it cannot be built: the source does not build:.*mm\.c:\d+.*nosuch"):
        built.make(broken)


def test_a_search_that_is_killed_leaves_no_builder(built: Conductor) -> None:
    """By kill -9, while its process waits for the builder."""
    built.make(built.search.range.good)
    more = suspect(built, "more")
    recipes.remember(commits.recipe_of(built.search.asked, more))
    script = (
        "import sys; from tests.unit.campaign.test_bisect_laboratory import Ahead, at_the_builder; ahead = Ahead();"
        f"ahead.want(({more.kernel!r},)); ahead.go_on(); at_the_builder(ahead);"
        "print(ahead._process.pid, flush=True); sys.stdin.read()"
    )
    with builder("another", lambda _: None):
        search = subprocess.Popen(
            [sys.executable, "-c", script], cwd=project_root(), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with search:
            assert search.stdout is not None
            child = identity(int(search.stdout.readline()))
            assert living(child)
            search.kill()
        wait_until(
            lambda: (None if living(child) else True, child),
            deadline=Deadline.after("the builder of a search that was killed to end", PATIENCE),
        )


def test_the_culprit_is_taken_out_of_the_bad_end_if_it_comes_out_cleanly(built: Conductor) -> None:
    name = built.revert(built.search, suspect(built, "faster").name)
    key = built.make(Suspect(REVERT, name))
    assert key not in {built.make(suspect(built, s)) for s in ("more", "mended")}
    with pytest.raises(UnfitError, match=r"it cannot be taken out: .*does not apply"):
        built.revert(built.search, suspect(built, "broken").name)
    with pytest.raises(UnfitError, match="the bad end itself"):
        built.revert(built.search, suspect(built, "more").name)


def test_a_package_is_not_taken_out() -> None:
    with pytest.raises(UnfitError, match="a package"):
        Conductor(search_in(line_of(4, "packages")), Listener()).revert(search_in(line_of(4, "packages")), "c2")


def test_the_runs_that_a_killed_session_left_are_read_back(tmp_path: Path) -> None:
    folder, bundles = write_session(tmp_path, "s1", ("hold", "release"))
    for file in sorted(bundles[1].rglob("*"), reverse=True):
        file.unlink() if file.is_file() else file.rmdir()
    search = search_in(line_of(3))
    search.asked = replace(search.asked, results=str(tmp_path))
    ((kernel, left),) = Conductor(search, Listener()).left_by("s1")
    assert kernel == "k"
    assert (left.run, left.session, left.word) == (bundles[0].name, "s1", "PASS")
    assert Conductor(search, Listener()).left_by("nosuch") == ()
    assert folder.is_dir()


def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> Conductor:
    """A laboratory whose archive has one FAIL of `hold`, by a lab of this version."""
    _, (bundle,) = write_session(tmp_path / "results", "old", ("hold",))
    write_run(bundle, "hold", kernel=KERNELS["stock"])
    manifest = judged(bundle, bundle.name).manifest
    search = search_in(line_of(3))
    search.asked = replace(search.asked, nic=manifest.nic, results=str(tmp_path / "results"))
    monkeypatch.setattr("lab.host.version.lab_version", lambda: version or manifest.lab_version)
    found = Conductor(search, Listener())
    k = manifest.kernel
    found._kernels["c1"] = BootableKernel(
        k.name, bundle, bundle, k.release, k.design, k.sha256, k.config_sha256, initrd_sha256=k.initrd_sha256
    )
    return found


def test_the_archive_gives_runs_of_the_same_kernel_case_and_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = known(tmp_path, monkeypatch, "")
    (seen,) = found.remembered(Suspect("c1", "k"))
    assert (seen.word, seen.session, seen.told[0].rule) == ("FAIL", "old", "billed")
    assert seen.told[0].word == "FAIL"
    found.search.accelerator = "kvm"
    assert found.remembered(Suspect("c1", "k")) == ()


@pytest.mark.parametrize("change", ["lab", "dirty", "kernel", "case", "ours"])
def test_another_lab_kernel_or_case_is_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    found = known(tmp_path, monkeypatch, {"lab": "9.9", "dirty": "1+g1.dirty"}.get(change, ""))
    if change == "kernel":
        found._kernels["c1"] = replace(found._kernels["c1"], sha256="f" * 64)
    if change == "case":
        found.search.asked = replace(found.search.asked, case="release")
    if change == "ours":
        found.search.entries.append(Entry("c1", Purpose.SEARCH, 1, run_of("FAIL", 1, "old")))
    assert found.remembered(Suspect("c1", "k")) == ()


def test_a_run_is_kept_with_what_speaks_against_it_and_where_it_ran(tmp_path: Path) -> None:
    bundle = write_run(tmp_path / "failed.x", "hold", kernel=KERNELS["stock"])
    result = judged(bundle, bundle.name)
    seen = seen_of(result, tmp_path, "s1")
    assert seen.word == "FAIL"
    assert {told.word for told in seen.told} <= {"FAIL", "ERROR", "MISS"}
    assert seen.why
    assert not seen.fault
    assert any("QEMU" in line for line in environment_of(result))


def results_of(folder: Path, *kernels: str) -> list[RunResult]:
    """A run of `hold` on each of these, judged."""
    made = []
    for kernel in kernels:
        bundle = write_run(folder / f"hold.{kernel}", "hold", kernel=KERNELS["stock"])
        found = judged(bundle, bundle.name)
        named = found.manifest.kernel.model_copy(update={"name": kernel})
        made.append(replace(found, manifest=found.manifest.model_copy(update={"kernel": named})))
    return made


def test_runs_of_one_session_are_told_apart_by_their_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each suspect gets as many runs as were asked for, and what left no bundle is lost for its own suspect alone."""
    search = search_in(line_of(3))
    told: list[tuple[str, str]] = []
    wanted: list[tuple[str, int]] = []
    names: dict[str, str] = {}
    monkeypatch.setattr(Conductor, "_called", lambda _, suspect: f"full-{suspect.kernel}")
    one, two = search.range.suspects[:2]
    plan = plan_in(tmp_path / "s1", ("hold",))
    runs = expand("s1", [(f"full-{s.kernel}", "stock") for s in (one, two)], ["virtio"], [case_named("hold")], 4)

    def elsewhere(request: SessionRequest, folder: Path, listener: Listener, **more: Any) -> Conducted:  # noqa: ANN401
        assert (request.kernels, request.repeat, folder) == ((one.kernel, two.kernel), 4, Path(search.asked.results))
        kept = tuple(run for run in runs if more["only"](run))
        wanted.extend((run.kernel, run.repeat) for run in kept)
        mine = replace(plan, runs=kept)
        listener.planned(mine)
        (result,) = results_of(plan.folder, f"full-{one.kernel}")
        listener.verdict(mine, 1, result)
        return Conducted(mine, False, {run.id: result for run in kept if run.kernel == f"full-{one.kernel}"})

    laboratory = Conductor(search, Listener(), elsewhere)
    laboratory.run(
        [(one, 2), (two, 4)],
        lambda _, kernels: names.update(kernels),
        lambda suspect, seen: told.append((suspect, seen.word)),
    )
    assert [kernel for kernel, _ in wanted].count(f"full-{one.kernel}") == 2
    assert [kernel for kernel, _ in wanted].count(f"full-{two.kernel}") == 4
    assert names == {f"full-{one.kernel}": one.name, f"full-{two.kernel}": two.name}
    assert told == [(one.name, "FAIL"), *[(two.name, "MISS")] * 4]


def test_what_a_session_took_beside_its_runs_is_told_apart(tmp_path: Path) -> None:
    """Two runs on two pairs of their own, at once: what is left of the session is neither pair nor run."""
    results = results_of(tmp_path, "a", "b")
    spent = results[0].manifest.seconds
    whole = spent.provision + spent.drive + spent.collect
    pace = pace_of(results, whole + 7, pairs=2)
    assert (pace.run, round(pace.around, 3)) == (spent.drive + spent.collect, 7.0)
    assert pace_of(results, whole, pairs=1).around == 0.0


def test_a_list_of_hosts_says_how_many_may_be_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = SessionRequest(names=("hold",))
    (tmp_path / "hosts.ini").write_text("one ansible_connection=local lab_pairs=2\ntwo ansible_connection=local\n")
    hosts = OnHosts(tmp_path / "hosts.ini", "local")
    monkeypatch.setattr("lab.fleet.answers.ask", lambda host: Answer(host, {"pairs": 3}))
    assert room_of(hosts, request, lambda _: None) == 5
    assert room_of(hosts, replace(request, pairs=4), lambda _: None) == 4
    monkeypatch.setattr("lab.fleet.answers.ask", lambda host: Answer(host, {}, "it is away"))
    assert room_of(hosts, request, lambda _: None) == 1


def test_this_host_has_what_was_asked_for_or_a_pair_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.session.room.host_size", lambda: HostSize(64 * 1024, 4))
    request = SessionRequest(names=("hold",))
    assert room_of(conduct, request, lambda _: None) == 4
    assert room_of(conduct, replace(request, pairs=6), lambda _: None) == 6
    with pytest.raises(BadInput, match="do not fit"):
        room_of(conduct, replace(request, pairs=600), lambda _: None)


def test_a_package_that_was_fetched_since_it_was_found_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    kernel = CatalogueKernel("k", "p", "1-1", "1", "generic", 10, "stock", False, "1.0", (), 10, "0" * 64, mark="m")
    assert not is_there(kernel)
    unpacked_dir(kernel.release, kernel.version, kernel.mark).mkdir(parents=True)
    assert is_there(kernel)
