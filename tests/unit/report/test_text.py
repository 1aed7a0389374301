# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console, RenderableType

from lab.report import text
from lab.verdict.model import Oom, OomOutcome, Word
from tests.unit.report import builder


def rendered(what: RenderableType, width: int = 80) -> str:
    out = StringIO()
    Console(file=out, width=width, color_system=None).print(what)
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 100, 200])
def test_the_table_fits_the_terminal_and_loses_nothing(width: int) -> None:
    shown = rendered(text.overview(builder.full_session()), width)
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= width
    table, _, rest = shown.partition("Not as predicted:")
    assert [table.count(word) for word in ("FAIL 251.0 MiB", "FAIL 315.0 MiB", "SKIP", "MISS", "! not PASS")] == [
        10,
        1,
        1,
        1,
        3,
    ]
    assert "FAIL precharge-e1000e-split-hold-1, predicted PASS" in rest
    assert "3 are not as predicted." in " ".join(rest.split())


def test_a_narrow_terminal_gets_several_tables_each_with_the_case_names() -> None:
    assert rendered(text.overview(builder.full_session()), 80).count("pin-vmsplice") == 2
    assert rendered(text.overview(builder.full_session()), 40).count("pin-vmsplice") == 4
    assert rendered(text.overview(builder.full_session()), 120).count("pin-vmsplice") == 1


def test_a_session_as_predicted_and_an_empty_one() -> None:
    assert "Not as predicted" not in rendered(text.overview(builder.session(builder.result())))
    assert rendered(text.overview(builder.session())) == "No runs.\n"


def test_a_kernel_that_died_is_told_though_its_word_is_the_predicted_one() -> None:
    shown = rendered(text.overview(builder.session(builder.dead())))
    assert "! a fault" in shown
    assert "predicted FAIL without a fault of the kernel" in " ".join(shown.split())
    assert "1 is not as predicted" in " ".join(shown.split())


def test_a_hole_of_the_matrix_is_not_blank() -> None:
    runs = builder.result(), builder.result(case="release", nic="e1000")
    assert rendered(text.overview(builder.session(*runs))).count("not run") == 2


def test_show_tells_the_run() -> None:
    oom = OomOutcome(Oom.GLOBAL_OTHER, ("copy@/lab/innocent",))
    shown = rendered(text.show(builder.result(Word.FAIL, predicted="PASS", oom=oom)))
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 80
    for part in (
        "FAIL stock-virtio-hold-1: FAIL, predicted PASS",
        "global-kill-other",
        "copy@/lab/innocent",
        "251.0 MiB    held - charged",
        "64.0 MiB",
        "receiver/telemetry.jsonl:57",
        "6.12.107-lab",
        "ab" * 32,
        "7.2.22 (tcg)",
        "lab run --kernel stock --nic virtio --case hold",
        "bundles/stock-virtio-hold-1",
    ):
        assert part in shown
    assert shown.index("FAIL billed") < shown.index("PASS kernel-alive")


def test_show_without_ledger_and_limit() -> None:
    shown = rendered(text.show(builder.result(Word.MISS, book=builder.ledger(points=0, limit=None))))
    assert "The ledger has no line" in shown
    assert "limit    none" in shown


def test_markup_and_control_characters_are_shown_not_obeyed() -> None:
    shown = rendered(text.show(builder.result(Word.ERROR, case="[red]x[/]", message="[bold]\x1b[2J\x07 gone")))
    assert "[bold]\ufffd[2J\ufffd gone" in shown
    assert "case [red]x[/]" in shown
    assert "[red]x[/]" in rendered(text.overview(builder.session(builder.result(case="[red]x[/]"))))
