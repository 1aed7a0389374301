# SPDX-License-Identifier: GPL-2.0-only
"""How memory ended, from what the console and the clients say."""

from __future__ import annotations

import pytest

from lab.evidence.bundle import parse
from lab.verdict.measure import run_kills
from lab.verdict.model import Oom, OomOutcome, Word
from lab.verdict.oom import WORST_FIRST, classify
from tests.known import CASES
from tests.unit.verdict.builder import story
from tests.unit.verdict.machine import KERNELS
from tests.unit.verdict.spoil import console, kill_line
from tests.unit.verdict.told import Story


def outcome(told: Story) -> OomOutcome:
    return classify(parse(told.files()), told.case.subject)


def test_every_outcome_has_a_rank() -> None:
    assert set(WORST_FIRST) == set(Oom)


def test_nothing_happened() -> None:
    assert outcome(story("release")) == OomOutcome(Oom.NONE, ())


def test_a_refusal() -> None:
    assert outcome(story("hold")).outcome is Oom.ENOMEM


def test_the_abuser_in_its_own_cgroup() -> None:
    assert outcome(story("copy-control")) == OomOutcome(Oom.MEMCG_ABUSER, ("zc-client@/lab/abuser",))


def test_the_innocent_when_the_guest_ran_out() -> None:
    told = story("bystander", KERNELS["stock"])
    assert outcome(told) == OomOutcome(Oom.GLOBAL_OTHER, ("zc-client@/lab/innocent",))


def test_the_abuser_when_the_guest_ran_out() -> None:
    told = story("hold", KERNELS["stock"])
    told.machine.oom_kill(told.machine.clients["abuser"], memcg=False)
    assert outcome(told).outcome is Oom.GLOBAL_ABUSER


def test_a_neighbour_in_its_own_cgroup() -> None:
    told = story("hold", KERNELS["stock"])
    kill_line(told, "/lab/neighbour", memcg="/lab/neighbour")
    assert outcome(told) == OomOutcome(Oom.MEMCG_OTHER, ("x@/lab/neighbour",))


def test_panic_outranks_kills_and_hang_outranks_panic() -> None:
    told = story("copy-control")
    console("Kernel panic - not syncing: System is deadlocked on memory")(told)
    assert outcome(told).outcome is Oom.DEADLOCK
    console("Kernel panic - not syncing: Fatal exception")(told)
    assert outcome(told).outcome is Oom.PANIC
    told.incident("hang")
    assert outcome(told).outcome is Oom.HANG


def test_a_kill_whose_report_was_lost_is_known_by_its_pid() -> None:
    told = story("copy-control")
    told.machine.console[:] = [line for line in told.machine.console if "oom-kill:" not in line]
    assert outcome(told) == OomOutcome(Oom.MEMCG_ABUSER, ("zc-client@/lab/abuser",))
    assert told.verdict().word is Word.ERROR  # a console that drops reports drops warnings as well


def test_kills_of_earlier_runs_of_the_pair_do_not_count() -> None:
    told = story("hold", KERNELS["put-hook"])
    told.machine.console += [
        "[   40.000000] oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/lab/abuser,task_memcg=/lab/abuser,"
        "task=zc-client,pid=300,uid=0",
        "[   40.000001] Memory cgroup out of memory: Killed process 300 (zc-client) total-vm:1kB",
    ]
    evidence = parse(told.files())
    assert len(evidence.receiver.console.kills) == 1
    assert run_kills(evidence.receiver) == ()
    assert classify(evidence, CASES["hold"].subject).outcome is Oom.ENOMEM
    assert told.verdict().word is Word.PASS


def test_an_earlier_kill_does_not_contain_a_client_that_got_away() -> None:
    told = story("copy-control")
    told.machine.console[:] = [line.replace("[  101.", "[   41.") for line in told.machine.console]
    assert told.verdict().word is Word.ERROR


DEADLOCK = "Kernel panic - not syncing: System is deadlocked on memory"
WARNING = "WARNING: CPU: 0 PID: 1 at mm/page_counter.c:1 f+0x1/0x2"


@pytest.mark.parametrize(
    ("case", "kernel", "lines", "fault"),
    [
        ("bystander", "stock", [], False),
        ("bystander", "stock", [DEADLOCK], False),  # what the abuser took ended the machine
        ("bystander", "put-hook", [DEADLOCK], True),  # nobody took anything
        ("bystander", "stock", [DEADLOCK, WARNING], True),
        ("bystander", "stock", ["Kernel panic - not syncing: Fatal exception"], True),
        ("hold", "stock", [WARNING], True),
    ],
)
def test_only_a_panic_for_want_of_memory_answers_a_case(case: str, kernel: str, lines: list[str], fault: bool) -> None:
    told = story(case, KERNELS[kernel])
    for line in lines:
        console(line)(told)
    verdict = told.verdict()
    assert (verdict.word is Word.FAIL, verdict.kernel_fault) == (bool(lines) or kernel == "stock", fault)
