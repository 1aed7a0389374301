# SPDX-License-Identifier: GPL-2.0-only
"""OOM reports as kernels from 2.6.18 to 6.17 print them: who was killed, where, and by whose limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.evidence.console import parse_console
from lab.units import KIB

REPORTS = Path(__file__).parents[2] / "corpus" / "oom"
POD = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0000_0000.slice/cri-containerd-0123abcd.scope"

# What is killed as `constraint oom_memcg task_memcg task pid`, a dash for what the report does not say.
EXPECTED = {
    "01-5.0rc1-memcg-none": ["memcg /test1 /test1 a.out 9692"],
    "04-el6-memcg-2.6.32": ["memcg /container-1 /container-1 java 215701"],
    "06-4.18-memcg-leaker": ["memcg /leaker /leaker leaker 2746"],
    "07-5.x-memcg-worker": [f"memcg {POD} {POD} worker 796205"],
    "09-5.4-parent-memcg": [f"memcg /kubepods.slice {POD} stress 68061"],
    "10-6.0-numa-policy": ["global - /user.slice/user-0.slice/session-3.scope a.out 13135"],
    "16-6.17-dd": ["memcg /user.slice/t.scope /user.slice/t.scope dd 151507"],
    "17-already-exiting": [],
    "19-old-global": ["global - - worker 2221"],
    "20-comm-sdpam": ["global - /user.slice/user@0.service/init.scope (sd-pam) 700"],
    # A child in the place of the process that was chosen
    "30-4.19-sacrificed-child": ["memcg /lab /lab/a child 105"],
    "46-5.0-child": ["memcg /lab /lab/p child 105"],
    "31-4.19-oom-group": [
        "memcg /lab/g /lab/g leader 100",
        "memcg /lab/g /lab/g worker 101",
        "memcg /lab/g /lab/g worker 102",
    ],
    # The kernel says it of the victim once more, as a member of its group
    "32-6.12-oom-group-victim-again": ["memcg /lab /lab/g leader 100", "memcg /lab /lab/g worker 101"],
    "33-cpuset": ["global - /lab/a dd 7"],
    "34-4.19-allocating-task": ["global - - dd 9"],
    "35-6.1-allocating-task": ["global - - dd 9"],
    "36-no-killable": [],
    "37-odd-name": ["memcg /a,b/c d /a,b/c d/x=1 a) b, [c] 7"],
    "38-docker-v1-syslog": ["memcg /docker/9f86d081884c7d65 /docker/9f86d081884c7d65 node 4242"],
    "39-journal-no-stamp": ["memcg - - node 4242"],
    "40-2.6.18": ["global - - httpd 3333"],
    "41-2.6.32-lower-case": ["global - - mysqld 2222"],
    "42-cut-report": ["memcg /kubepods /kubepods/very-long worker 11"],
    "43-two-consoles": ["global - - worker 11"],
    "44-three-in-a-row": ["global - /lab/a t1 11", "memcg /lab/c /lab/c t3 13"],
    "45-caller-tags-crlf": ["memcg /lab/c /lab/c t3 13"],
    "47-programs-speak": [],
}


def _read(name: str) -> bytes:
    return (REPORTS / f"{name}.log").read_bytes()


def test_every_report_has_its_expectation() -> None:
    assert {log.stem for log in REPORTS.glob("*.log")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_who_was_killed(name: str) -> None:
    kills = parse_console("c", _read(name)).kills
    told = [f"{k.constraint} {k.oom_memcg or '-'} {k.task_memcg or '-'} {k.task} {k.pid}" for k in kills]
    assert told == EXPECTED[name]


@pytest.mark.parametrize("name", sorted(set(EXPECTED) - {"36-no-killable"}))
def test_an_oom_report_is_no_fault_of_the_kernel(name: str) -> None:
    assert parse_console("c", _read(name)).splats == ()


def test_what_the_kernel_says_of_the_victims_memory() -> None:
    (kill,) = parse_console("c", _read("16-6.17-dd")).kills
    assert (kill.usage, kill.limit) == (65536 * KIB, 65536 * KIB)
    assert (kill.total_vm, kill.anon, kill.file, kill.shmem, kill.page_tables) == (
        104804 * KIB,
        64640 * KIB,
        928 * KIB,
        0,
        172 * KIB,
    )


def test_a_pid_that_comes_again_long_after_is_another_kill() -> None:
    line = b"[%5d.000000] Out of memory: Killed process 11 (worker) total-vm:1kB\n"
    assert len(parse_console("c", line % 50 + line % 500).kills) == 2
