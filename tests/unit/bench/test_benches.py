# SPDX-License-Identifier: GPL-2.0-only
"""What the benches conclude from what they saw, on its red side too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.bare import by_hand
from bench.engine import Ran
from bench.fleet import Heard
from bench.fresh_pairs import _rss_kib
from bench.memory import pss_kib
from bench.overhead import shares
from bench.pair_ready import KERNELS, RATIOS, WAYS, fastest, ratios, suffixes
from bench.soak import growth, leaks, leftovers, other_words
from bench.verdicts import differences
from lab.report.spent import Spent

ROLLUP = "55d0-7ffd ---p 00000000 00:00 0 [rollup]\nRss:  200 kB\nPss:  120 kB\nPss_Anon: 7 kB\n"


def test_the_stall_of_a_fleet_is_told_apart_by_its_loss(tmp_path: Path) -> None:
    heard = Heard(tmp_path, ["a"], 3, times=[0.0, 1.0, 2.0, 9.0, 10.0], cut_at=2.0)
    assert heard.stall() == (1.0, 7.0)


def ran(**words: str) -> Ran:
    records = tuple(
        {"kernel": "k", "nic": "n", "case": c, "repeat": 0, "verdict": w, "findings": [{"word": w, "message": "why"}]}
        for c, w in words.items()
    )
    return Ran(60.0, records, Spent(60.0, {"delivered": 45.0, "restore": 15.0}, frozenset({"delivered"})))


def test_sessions_that_agree_differ_in_nothing() -> None:
    assert differences([ran(hold="FAIL", release="PASS"), ran(release="PASS", hold="FAIL")]) == []


def test_one_other_word_is_a_difference() -> None:
    (told,) = differences([ran(hold="FAIL", release="PASS"), ran(hold="PASS", release="PASS")])
    assert told == "k/n/hold/0 was FAIL and PASS"


def test_a_word_unlike_the_cold_one_is_a_problem() -> None:
    assert other_words(ran(hold="FAIL"), ran(hold="FAIL")) == []
    assert other_words(ran(hold="FAIL"), ran(hold="MISS")) == ["hold run 0 was MISS, cold FAIL: why"]


def states(runs: int, **grow: float) -> list[dict[str, Any]]:
    """Of a worker that fills its caches in the first tenth and then grows by `grow` a run."""
    base = {"rss_mib": 100.0, "fds": 40.0, "threads": 9.0, "children": 4.0, "domains": 4.0}
    return [
        {
            **{k: v + grow.get(k, 0.0) * n for k, v in base.items()},
            "rss_mib": 100 + min(n, runs // 10) + n * grow.get("rss_mib", 0),
        }
        for n in range(runs)
    ]


def test_a_worker_that_only_warms_up_leaks_nothing() -> None:
    assert leaks(states(200)) == []


@pytest.mark.parametrize(
    ("key", "a_run"), [("fds", 1.0), ("threads", 0.5), ("children", 0.1), ("domains", 0.1), ("rss_mib", 0.2)]
)
def test_what_grows_from_run_to_run_is_a_leak(key: str, a_run: float) -> None:
    (told,) = leaks(states(200, **{key: a_run}))
    assert {"rss_mib": "memory"}.get(key, key) in told
    assert growth(states(200, **{key: a_run}), key) == pytest.approx(a_run, rel=0.1)


def test_a_pair_that_leaves_late_is_no_leak() -> None:
    """On a loaded host most runs of the last quarter end while another pair is still being torn down."""
    seen = states(64)
    for state in (s for n, s in enumerate(seen[48:]) if n % 4):
        state |= {"fds": state["fds"] + 3, "threads": state["threads"] + 3}
    assert leaks(seen) == []


def test_files_in_a_sessions_own_folder_are_left_behind(tmp_path: Path) -> None:
    (tmp_path / "pytest-of-me").mkdir()
    assert leftovers(tmp_path) == []
    (tmp_path / "lab-x").mkdir()
    assert leftovers(tmp_path) == [str(tmp_path / "lab-x")]


def test_a_process_that_knows_the_folder_is_left_behind(tmp_path: Path) -> None:
    import subprocess

    environ = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)}
    with subprocess.Popen(["cat"], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as cat:
        assert cat.stdin
        assert cat.stdout
        cat.stdin.write(b"\n")
        cat.stdin.flush()
        cat.stdout.readline()  # Popen() returns before the kernel has laid out the new program's environment
        (told,) = leftovers(tmp_path)
        cat.stdin.close()
    assert told.startswith(f"process {cat.pid}: ")


def test_memory_is_read_from_smaps_rollup() -> None:
    assert pss_kib(ROLLUP) == 120
    assert _rss_kib(ROLLUP) == 200


def test_pair_ready_compares_the_same_ways_for_every_kernel() -> None:
    found = {r.name: r for r in ratios(suffixes(()).values())}
    assert {"warm_over_virtme_pair", "cold_over_virtme_pair", "warm_over_cold"} <= found.keys()
    assert found["warm_over_virtme_pair_distribution"].under == "virtme_pair_distribution"
    assert len(found) == len(RATIOS) * len(KERNELS)
    variants = {f"{way}{end}" for end in KERNELS.values() for way in WAYS}
    assert all({r.over, r.under} <= variants for r in found.values())


def test_kernels_of_the_users_own_have_keys_of_their_own() -> None:
    assert suffixes(("6.1", "mine")) == {"6.1": "", "mine": "_mine"}


LIBVIRTS = (
    'LC_ALL=C HOME=/tmp/h /usr/bin/qemu -name guest=g -S -object \'{"id":"masterKey0"}\' -m 256 '
    "-chardev socket,id=charmonitor,path=/m -mon chardev=charmonitor,id=monitor "
    "-no-shutdown -append 'a b=c' -nodefaults"
)


def test_a_qemu_by_hand_has_nothing_that_is_there_for_libvirt_alone() -> None:
    words = "-name guest=g -m 256 -no-shutdown -append"
    assert by_hand(LIBVIRTS, "/usr/bin/qemu") == ["/usr/bin/qemu", *words.split(), "a b=c", "-nodefaults"]


def test_the_largest_shares_are_told_by_name() -> None:
    sessions = [ran(hold="FAIL"), ran(hold="FAIL")]
    assert shares(sessions) == {"share_of_delivered": 0.75, "share_of_restore": 0.25}


def test_the_peer_gets_the_way_that_was_fastest_in_its_best_try() -> None:
    seconds = {"host": iter([9.0, 5.0]), "image": iter([6.0, 30.0])}
    order: list[str] = []

    def once(way: str) -> float:
        order.append(way)
        return next(seconds[way])

    assert fastest(("host", "image"), once) == "host"
    assert order == ["host", "image", "host", "image"]
