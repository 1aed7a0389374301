# SPDX-License-Identifier: GPL-2.0-only
"""Each rule on real bundles: PASS as they are, and red when what it looks at is another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from lab.experiments.found import all_experiments
from lab.units import MIB
from lab.verdict.model import Word
from tests.unit.tx_zerocopy.told import Told, spoilt

F, E = Word.FAIL, Word.ERROR
SUBJECT = "sender"

EXPERIMENT = all_experiments()["tx_zerocopy"]  # found and not imported: this folder is checked without it as well


@dataclass(frozen=True)
class Red:
    """A bundle that is spoilt in one way, and the word that a rule must say of it."""

    rule: str
    what: str
    word: Word
    case: str
    change: Callable[[Told], None]


def charged(name: str, more: int, *, sock: bool = False, at: str = "held") -> Callable[[Told], None]:
    """From the moment of a checkpoint on, a little before it and after it, another charge."""

    def change(told: Told) -> None:
        t = told.checkpoint(at)["t"]
        told.charge(name, more, sock=sock, since=t - 0.45, until=t + 0.45)

    return change


def said(name: str, *events: str, **values: int) -> Callable[[Told], None]:
    """A client says other numbers on its lines of these events (on all of them, when none is named)."""

    def change(told: Told) -> None:
        for line in told.client(name, *events):
            if "sent" in line:
                line.update(values)

    return change


def grown(name: str, key: str, more: int, *events: str) -> Callable[[Told], None]:
    def change(told: Told) -> None:
        for line in told.client(name, *events):
            if key in line:
                line[key] += more

    return change


def copied(told: Told) -> None:
    for line in told.client(SUBJECT):
        if "completed" in line:
            line.update(copied=line["completed"], uncopied=0)


def accepted(name: str, **values: int) -> Callable[[Told], None]:
    return lambda told: told.client(name, "accepted")[0].update(values)


def peer(name: str, **values: object) -> Callable[[Told], None]:
    return lambda told: told.lines[f"receivers/{name}.jsonl"][-1].update(values)


def not_preflown(told: Told) -> None:
    told.lines["preflight/client.jsonl"][-1].update(uncopied=0)


def limited(told: Told) -> None:
    for sample in told.samples(0, 1e9):
        if SUBJECT in sample["cg"]:
            sample["cg"][SUBJECT].update(max=MIB)


def killed_beside(told: Told) -> None:
    told.files["receiver/console.log"] += (
        b"[ 9999.000000] oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,"
        b"task_memcg=/,task=tx-peer,pid=300,uid=0\n"
        b"[ 9999.000001] Out of memory: Killed process 300 (tx-peer) total-vm:1kB, anon-rss:1kB, file-rss:0kB, "
        b"shmem-rss:0kB, UID:0 pgtables:4kB oom_score_adj:0\n"
    )


REDS = (
    Red("billed", "pages in flight are charged to nobody", F, "double-accounting", charged(SUBJECT, -40 * MIB)),
    Red("billed", "nor after a reset", F, "tx-release", charged(SUBJECT, -40 * MIB)),
    Red("billed", "underflow", F, "double-accounting", charged(SUBJECT, 2**40)),
    Red("once", "charged as sock too", F, "double-accounting", charged(SUBJECT, 60 * MIB, sock=True)),
    Red("once", "charged twice as pages", F, "double-accounting", charged(SUBJECT, 60 * MIB)),
    Red("once", "not even once", E, "double-accounting", charged(SUBJECT, -60 * MIB)),
    Red("bounded", "SO_SNDBUF is no bound", F, "pinned-by-a-slow-peer", accepted("sndbuf", sndbuf=MIB)),
    Red(
        "bounded",
        "RLIMIT_MEMLOCK is no bound",
        F,
        "pinned-by-a-slow-peer",
        lambda told: told.client("memlock", "ready")[0].update(memlock=MIB),
    ),
    Red(
        "bounded",
        "optmem_max is no bound",
        F,
        "pinned-by-a-slow-peer",
        lambda told: told.client("optmem", "ready")[0].update(optmem_max=576),
    ),
    Red("returned", "still charged", F, "tx-release", charged(SUBJECT, 20 * MIB, at="released")),
    Red("returned", "still out", E, "tx-release", said(SUBJECT, "released", unacked=MIB)),
    Red("returned", "nobody looked", E, "tx-release", lambda t: t.checkpoint("released").update(name="other")),
    Red("outlives", "not charged any more", F, "exit-in-flight", charged(SUBJECT, -40 * MIB, at="exited")),
    Red("outlives", "nobody looked", E, "exit-in-flight", lambda t: t.checkpoint("exited").update(name="other")),
    Red(
        "exercised",
        "its process was there",
        E,
        "exit-in-flight",
        lambda t: t.checkpoint("exited")["cg"][SUBJECT].update(procs=1),
    ),
    Red("notified", "one is lost", F, "completion", grown(SUBJECT, "notified", -1, "done")),
    Red("notified", "one comes twice", F, "completion", said("ring", "done", twice=1)),
    Red("notified", "one is of no send", F, "completion", said("ring", "done", unknown=1)),
    Red("notified", "one comes before its acknowledgement", F, "completion", said(SUBJECT, "done", early=1)),
    Red("notified", "more than the peer has", F, "completion", peer("ring", received=MIB)),
    Red("notified", "the peer did not get all", E, "completion", grown("ring", "sent", MIB, "done")),
    Red(
        "none-early",
        "notified while nobody reads",
        F,
        "completion",
        grown(SUBJECT, "completed", 16 * MIB, "progress", "holding"),
    ),
    Red("bytes-equal", "other bytes", F, "tx-bytes-equal", peer("ring", mismatches=1, first_mismatch=7)),
    Red("bytes-equal", "another hash", F, "tx-bytes-equal", peer("keep", hash="0" * 16)),
    Red("bytes-equal", "no hash", E, "tx-bytes-equal", peer("copy", hash=None)),
    Red("bytes-equal", "not all came", E, "tx-bytes-equal", peer("ring", received=MIB)),
    Red("queue-billed", "queued and not charged", F, "tx-copy-control", charged(SUBJECT, -20 * MIB, sock=True)),
    Red("queue-billed", "more than its buffers", F, "tx-copy-control", accepted(SUBJECT, sndbuf=MIB)),
    Red("exercised", "the kernel copied", E, "double-accounting", copied),
    Red(
        "exercised",
        "too little in flight",
        E,
        "double-accounting",
        lambda t: t.manifest["clients"][0].update(deliver=2**30),
    ),
    Red(
        "exercised",
        "nothing stopped it",
        E,
        "pinned-by-a-slow-peer",
        lambda t: t.client("optmem", "holding")[0].update(reason="complete"),
    ),
    Red(
        "exercised", "not all was sent", E, "completion", lambda t: t.client("ring", "holding")[0].update(reason="full")
    ),
    Red("exercised", "nothing was queued", E, "tx-copy-control", said(SUBJECT, queued=0, held=0)),
    Red("witnesses", "the client keeps more than is gone", E, "double-accounting", grown(SUBJECT, "held", 30 * MIB)),
    Red("witnesses", "and less", E, "double-accounting", grown(SUBJECT, "held", -30 * MIB)),
    Red("witnesses", "buffers that are not there", E, "double-accounting", grown(SUBJECT, "anon", 30 * MIB)),
    Red(
        "witnesses",
        "counter and pages disagree",
        E,
        "double-accounting",
        lambda t: t.checkpoint("held")["pages"]["charged"].update({str(t.checkpoint("held")["cg"][SUBJECT]["ino"]): 1}),
    ),
    Red(
        "witnesses",
        "TCP knows nothing of a queue",
        E,
        "tx-copy-control",
        lambda t: t.checkpoint("held")["net"].update(tcp_mem_pages=0),
    ),
    Red("preflight", "the kernel copied before", E, "double-accounting", not_preflown),
    Red("lab-alive", "a peer failed", E, "double-accounting", lambda t: t.manifest["clients"][0].update(peer_status=1)),
    Red("lab-alive", "the guest beside ran out", E, "double-accounting", killed_beside),
    Red("complete", "no limit was asked for", E, "double-accounting", limited),
    Red(
        "balanced", "as sock, and nobody has it", F, "exit-in-flight", charged(SUBJECT, 8 * MIB, sock=True, at="exited")
    ),
    Red("balanced", "charged when nobody is there", F, "double-accounting", charged(SUBJECT, 30 * MIB, at="end")),
)


@pytest.mark.parametrize("case", EXPERIMENT.cases)
def test_a_run_as_it_was_is_a_pass(case: str) -> None:
    verdict = Told(case).verdict()
    assert verdict.word is Word.PASS, [f for f in verdict.findings if f.word is not Word.PASS]
    assert {f.rule for f in verdict.findings} == {rule.name for rule in EXPERIMENT.cases[case].rules}


@pytest.mark.parametrize("red", REDS, ids=lambda red: f"{red.rule}: {red.what}")
def test_each_rule_has_a_red_side(red: Red) -> None:
    verdict = spoilt(red.case, red.change).verdict()
    assert red.word in {f.word for f in verdict.findings if f.rule == red.rule}, verdict.findings
    assert verdict.word in (F, E)


def test_a_kernel_that_charges_twice_fails() -> None:
    """Seen: 6.12.117 without the line of tcp_sendmsg_locked() that sets SKBFL_PURE_ZEROCOPY, as it was before v5.16."""
    verdict = Told("charged-twice").verdict()
    assert verdict.word is F
    assert {f.rule for f in verdict.findings if f.word is not Word.PASS} == {"once"}


def test_every_rule_of_a_case_is_seen_red() -> None:
    own = {rule.name for case in EXPERIMENT.cases.values() for rule in case.rules}
    tested_elsewhere = {"kernel-alive", "heard"}
    assert own - {red.rule for red in REDS} == tested_elsewhere


def test_the_guest_under_test_is_the_sender() -> None:
    """Findings point into its files; the peers' output lies in a folder that says what they are."""
    told = Told("double-accounting")
    assert told.manifest["tested"] == "sender"
    pointers = {f.rule: f.pointer for f in told.verdict().findings}
    assert pointers["billed"].startswith("sender/checkpoints.jsonl:")
    assert pointers["balanced"].startswith("sender/checkpoints.jsonl")
    assert f"receivers/{SUBJECT}.jsonl" in told.lines
    del told.lines[f"receivers/{SUBJECT}.jsonl"], told.files[f"receivers/{SUBJECT}.jsonl"]
    assert told.verdict().word is Word.MISS
