# SPDX-License-Identifier: GPL-2.0-only
"""Damage never helps: a bundle that was cut, flipped or thinned out is no greener than it was."""

from __future__ import annotations

import hashlib
import json
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.errors import BadInput
from lab.evidence.bundle import parse
from lab.verdict.model import Word
from tests.known import judge
from tests.unit.verdict.builder import story
from tests.unit.verdict.machine import KERNELS
from tests.unit.verdict.told import with_digest

QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
RED_RUNS = (("hold", "stock"), ("pin-vmsplice", "precharge"), ("bystander", "stock"))
NEEDED = (
    "receiver/console.log",
    "receiver/telemetry.jsonl",
    "receiver/checkpoints.jsonl",
    "sender/console.log",
    "sender/telemetry.jsonl",
    "clients/abuser.jsonl",
    "senders/abuser.jsonl",
    "preflight/client.jsonl",
)


@cache
def bundle(case: str, design: str) -> dict[str, bytes]:
    return story(case, KERNELS[design]).files()


def sealed(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same bundle as if the damage had happened before it was collected: its hashes agree."""
    manifest = json.loads(files["manifest.json"])
    for path in manifest["files"]:
        data = files[path]
        manifest["files"][path] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return {**files, "manifest.json": with_digest(manifest)}


def word(files: dict[str, bytes]) -> Word:
    return judge(parse(files)).word


@st.composite
def damage(draw: st.DrawFn) -> tuple[str, str, int, int, int]:
    """Where to hit, how, and three numbers to hit with."""
    how = draw(st.sampled_from(["cut", "flip", "drop", "repeat", "insert"]))
    numbers = [draw(st.integers(0, 10**6)) for _ in range(3)]
    return draw(st.sampled_from(NEEDED)), how, numbers[0], numbers[1], numbers[2]


def hit(data: bytes, how: str, a: int, b: int, c: int) -> bytes:
    at = a % (len(data) or 1)
    lines = data.splitlines(keepends=True) or [b""]
    row = a % len(lines)
    match how:
        case "cut":
            return data[:at]
        case "flip":
            return data[:at] + bytes([data[at] ^ (1 + b % 255)]) + data[at + 1 :] if data else b""
        case "insert":
            return data[:at] + bytes([c % 256]) + data[at:]
        case "drop":
            return b"".join(lines[:row] + lines[row + 1 + b % 20 :])
        case _:
            return b"".join([*lines[: row + 1], *lines[row:]])


@pytest.mark.parametrize("case", ["hold", "bystander", "copy-control"])
def test_the_bundles_are_green_to_begin_with(case: str) -> None:
    assert word(bundle(case, "put-hook")) is Word.PASS
    assert word(sealed(bundle(case, "put-hook"))) is Word.PASS


@QUICK
@given(damage())
def test_a_damaged_file_is_never_a_pass(where: tuple[str, str, int, int, int]) -> None:
    files = bundle("hold", "put-hook")
    path, *rest = where
    spoilt = hit(files[path], *rest)  # type: ignore[arg-type]
    if spoilt != files[path]:
        assert word({**files, path: spoilt}) is not Word.PASS


@pytest.mark.parametrize(("case", "design"), RED_RUNS)
@QUICK
@given(where=damage())
def test_damage_before_collection_never_turns_red_green(
    case: str, design: str, where: tuple[str, str, int, int, int]
) -> None:
    files = bundle(case, design)
    path, *rest = where
    assert word(sealed({**files, path: hit(files[path], *rest)})) is not Word.PASS  # type: ignore[arg-type]


@pytest.mark.parametrize("path", NEEDED)
def test_an_absent_file_is_never_a_pass(path: str) -> None:
    files = bundle("hold", "put-hook")
    assert word({p: d for p, d in files.items() if p != path}) is not Word.PASS


@pytest.mark.parametrize("path", NEEDED)
def test_an_empty_file_is_never_a_pass_where_something_must_be_in_it(path: str) -> None:
    if not path.endswith("console.log"):
        assert word(sealed({**bundle("hold", "put-hook"), path: b""})) is not Word.PASS


@QUICK
@given(st.integers(0, 10**6))
def test_a_cut_manifest_is_refused(a: int) -> None:
    files = bundle("hold", "put-hook")
    with pytest.raises(BadInput):
        parse({**files, "manifest.json": files["manifest.json"][: a % (len(files["manifest.json"]) - 1)]})
