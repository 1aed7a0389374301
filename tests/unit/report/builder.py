# SPDX-License-Identifier: GPL-2.0-only
"""Synthetic runs for the tests of the reports."""

from __future__ import annotations

from dataclasses import replace

from lab.evidence.manifest import ClientRecord, HostRecord, KernelRecord, Manifest, PairRecord, Seconds
from lab.evidence.model import Ledger, LedgerPoint
from lab.evidence.timing import Span, Timing
from lab.plan.design import design_of
from lab.report import RunResult, Session
from lab.units import MIB
from lab.verdict.model import Finding, Oom, OomOutcome, Verdict, Word
from suites.rx_zerocopy.clients import LINES
from tests.known import CASES, predicted

LIMIT = 64 * MIB
EIGHT = (
    *("hold", "pin-vmsplice", "dead-memcg", "release", "bystander"),
    *("bytes-equal", "copy-control", "sock-control"),
)


TIMING = Timing(
    9.0,
    (
        Span("boot", "receiver", -4.0, -0.5),
        Span("pair", "case", 0.0, 1.5),
        Span("preflight", "pair", 0.5, 1.5),
        Span("start", "case", 1.5, 3.0, "abuser", work=True),
        Span("start client", "case", 1.6, 2.4, work=True),
        Span("delivered", "case", 3.0, 7.0, "abuser", work=True),
        Span("checkpoint", "case", 7.0, 8.5, "held", work=True),
        Span("judge", "case", 8.5, 9.0),
    ),
)


def manifest(
    case: str = "hold", kernel: str = "stock", nic: str = "virtio", *, predicted: str = "PASS", repeat: int = 1
) -> Manifest:
    return Manifest(
        run=f"{kernel}-{nic}-{case}-{repeat}",
        case=case,
        nic=nic,
        repeat=repeat,
        predicted=predicted,
        kernel=KernelRecord(
            name=kernel, release="6.12.107-lab", design=_design(kernel), sha256="ab" * 32, config_sha256="cd" * 32
        ),
        host=HostRecord(
            qemu="7.2.22",
            libvirt="9.0.0",
            accelerator="tcg",
            connection="qemu:///session",
            machine="pc-q35-7.2",
            image_sha256="ef" * 32,
        ),
        pair=PairRecord(
            id="pair-1", shape="standard", receiver_mib=768, sender_mib=256, runs_before=0, cmdline="console=ttyS0"
        ),
        mtu=65535,
        floor=0.25,
        clients=(
            ClientRecord(
                name="abuser", behaviour="hold", limit=LIMIT, deliver=4 * LIMIT, argv=(), peer_argv=(), seed=7
            ),
        ),
        incidents=(),
        seconds=Seconds(provision=2.5, drive=5.0, collect=0.5),
        started="2026-03-01T10:00:00+00:00",
        lab_version="0.1.0",
        reproduce=f"lab run --kernel {kernel} --nic {nic} --case {case}",
        files={},
    )


def ledger(
    *, held: int = 4 * LIMIT, charged: int = 5 * MIB, limit: int | None = LIMIT, points: int = 60, pinned: bool = True
) -> Ledger:
    """A client that fills up in the first two thirds of six seconds and keeps what it has; `points` 0 for none."""
    line = []
    for i in range(points):
        share = min(1.0, i / max(1, points * 2 // 3))
        have = int(held * share)
        line.append(
            LedgerPoint(
                t=100.0 + 6 * i / max(1, points),
                counts={
                    "delivered": int(max(held, 4 * LIMIT) * share),
                    "mapped": int(have * 0.97),
                    "pinned": have if pinned else 0,
                },
                held=have,
                charged=int(charged * share),
                gone=int(have * 1.02) + 3 * MIB,
            )
        )
    marks = ((100.2, "connected"), (104.0, "holding"), (105.6, "released"))
    return Ledger("abuser", limit, tuple(line), line[-1] if line else None, marks, LINES)


def result(  # noqa: PLR0913 - one argument for each thing that a report tells
    word: Word = Word.PASS,
    case: str = "hold",
    kernel: str = "stock",
    nic: str = "virtio",
    *,
    predicted: str | None = None,
    repeat: int = 1,
    message: str | None = None,
    book: Ledger | None = None,
    oom: OomOutcome | None = None,
    bundle: str | None = None,
) -> RunResult:
    """A run; predicted to come out as it does unless said otherwise."""
    said = message or {
        Word.FAIL: "the client holds 256.0 MiB and is charged 5.0 MiB: 251.0 MiB escape",
        Word.SKIP: "the NIC model igb needs QEMU 8",
        Word.MISS: "the receiver did not boot within 60 s",
        Word.ERROR: "nothing was mapped: 0 of 256.0 MiB",
    }.get(word, "charged for all it holds, within 2.1 MiB")
    record = manifest(case, kernel, nic, predicted=predicted or word.value, repeat=repeat)
    findings = (
        Finding("kernel-alive", Word.PASS, "no oops, no panic, no hang in 412 lines", "receiver/console.log"),
        Finding("billed", word, said, "receiver/telemetry.jsonl:57"),
    )
    book = book or (ledger() if word is Word.FAIL else ledger(held=LIMIT - 4 * MIB, charged=LIMIT - 3 * MIB))
    verdict = Verdict(word, findings, book, oom or OomOutcome(Oom.NONE, ()))
    return RunResult(record, verdict, bundle or f"bundles/{record.run}")


def dead(predicted: str = "FAIL") -> RunResult:
    """A run whose kernel panicked, where the design is said to fail."""
    run = result(Word.FAIL, predicted=predicted)
    panic = Finding("kernel-alive", Word.FAIL, "the receiver's kernel: panic: no TCP today", "receiver/console.log:3")
    return replace(run, verdict=replace(run.verdict, findings=(panic, *run.verdict.findings[1:])))


def session(*results: RunResult) -> Session:
    return Session(
        name="thread of March 2021",
        started="2026-03-01T10:00:00+00:00",
        results=results,
        seconds=312.0,
        command="lab matrix --kernel stock --kernel precharge",
    )


def full_session() -> Session:
    """Two kernels, two NICs, eight cases, with one of each kind of surprise."""
    fails = {"stock": {"hold", "pin-vmsplice", "bystander"}, "precharge": {"pin-vmsplice", "bystander"}}
    runs = []
    for kernel, failing in fails.items():
        for nic in ("e1000e-split", "virtio"):
            for case in EIGHT:
                word = Word.FAIL if case in failing else Word.PASS
                runs.append(result(word, case, kernel, nic))
    runs[0] = replace(runs[0], timing=TIMING)
    killed = OomOutcome(Oom.GLOBAL_OTHER, ("copy@/lab/innocent",))
    runs[4] = result(Word.FAIL, "bystander", "stock", "e1000e-split", oom=killed, book=_oom_ledger())
    runs[16] = result(Word.FAIL, "hold", "precharge", "e1000e-split", predicted="PASS")
    runs[11] = result(Word.SKIP, "release", "stock", "virtio", predicted="PASS", book=ledger(points=0))
    runs[10] = result(Word.ERROR, "dead-memcg", "stock", "virtio", predicted="PASS", book=ledger(held=0, charged=0))
    runs[31] = result(Word.MISS, "sock-control", "precharge", "virtio", predicted="PASS", book=ledger(points=0))
    return session(*runs)


KERNELS = (
    *("6.12.117+deb12-amd64", "stock", "stock+recycling", "precharge", "unmap-hook", "put-hook"),
    *("put-hook+recycling", "pool-return+recycling"),
)


def thread_session() -> Session:
    """Eight kernels, three NICs, every case of the table of predictions, all as predicted but for four cells."""
    runs = {
        (kernel, nic, case): _plain(kernel, nic, case)
        for kernel in KERNELS
        for nic in ("e1000e-split", "virtio", "e1000")
        for case in CASES
    }
    cell = ("put-hook", "virtio", "release")
    repeats = [result(w, "release", *cell[:2], predicted="PASS", repeat=n) for n, w in enumerate(REPEATS, 1)]
    del runs[cell]
    spoilt = {
        ("precharge", "e1000e-split", "hold"): result(Word.FAIL, "hold", "precharge", "e1000e-split", predicted="PASS"),
        ("pool-return+recycling", "virtio", "visible"): result(
            Word.ERROR, "visible", "pool-return+recycling", "virtio", predicted="PASS", book=ledger(points=0)
        ),
        ("unmap-hook", "e1000", "release"): result(
            Word.MISS, "release", "unmap-hook", "e1000", predicted="PASS", book=ledger(points=0)
        ),
    }
    return session(*{**runs, **spoilt}.values(), *repeats)


REPEATS = (Word.PASS, Word.FAIL, Word.PASS)


def _plain(kernel: str, nic: str, case: str) -> RunResult:
    """As predicted, and without a curve: hundreds of them would take long."""
    run = result(_word(kernel, nic, case), case, kernel, nic, predicted=_guess(kernel, nic, case))
    return replace(run, verdict=replace(run.verdict, ledger=replace(run.verdict.ledger, points=())))


def _guess(kernel: str, nic: str, case: str) -> str:
    return predicted(_design(kernel), nic, case).value


def _design(kernel: str) -> str:
    return "stock" if kernel[:1].isdigit() else design_of(kernel)


def _word(kernel: str, nic: str, case: str) -> Word:
    guess = _guess(kernel, nic, case)
    return Word.FAIL if guess == "open" else Word(guess)


def _oom_ledger() -> Ledger:
    book = ledger(held=5 * LIMIT)
    marks = (*book.marks, (104.7, "global OOM kills copy@/lab/innocent"), (104.75, "innocent lost"))
    return Ledger(book.client, book.limit, book.points, book.last, marks)
