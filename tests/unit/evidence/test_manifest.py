# SPDX-License-Identifier: GPL-2.0-only
"""The manifest: its own digest, and bounds for all that it says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import BadInput
from lab.evidence.bundle import MANIFEST, parse, read_manifest, record_of
from lab.evidence.manifest import Incident, Manifest
from lab.evidence.seal import digest_of, is_as_written, sealed
from lab.verdict.model import Word
from tests.known import judge
from tests.unit.verdict.builder import story
from tests.unit.verdict.told import Story, with_digest

Json = dict[str, Any]


def fields(told: Story | None = None) -> Json:
    found: Json = json.loads((told or story("hold")).files()[MANIFEST])
    return found


def with_manifest(changed: Json, told: Story | None = None) -> dict[str, bytes]:
    return {**(told or story("hold")).files(), MANIFEST: json.dumps(changed).encode()}


def written(told: Story | None = None) -> Json:
    """A manifest as it is written today."""
    found: Json = json.loads(sealed(Manifest(**fields(told) | {"format": 2})))
    return found


def test_what_is_written_is_of_format_2_and_reads_as_written() -> None:
    made = written()
    assert (made["format"], made["digest"]) == (2, digest_of(made))
    assert judge(parse(with_manifest(made))).word is Word.PASS
    assert json.loads(sealed(Manifest(**made))) == made


def leaves(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all plain values."""
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, each in inside for leaf in leaves(each, (*path, key))]
    return [path]


@given(st.data())
def test_no_value_can_be_changed_unnoticed(data: st.DataObject) -> None:
    made = written()
    *above, last = data.draw(st.sampled_from([p for p in leaves(made) if p != ("format",)]))
    place = made
    for key in above:
        place = place[key]
    old = place[last]
    if isinstance(old, bool) or old is None:
        place[last] = 7
    elif isinstance(old, int | float):
        place[last] = 1 if old == 0 else type(old)(old * 0.5)
    else:
        place[last] = old[::-1] if old != old[::-1] else f"{old}0"[-64:].replace("0", "1", 1)
    changed = json.dumps(made).encode()
    try:
        manifest = read_manifest({MANIFEST: changed})
    except BadInput:
        return
    assert not is_as_written(manifest, changed)


@pytest.mark.parametrize(
    "change",
    [
        {"predicted": "FAIL"},
        {"digest": ""},
        {"digest": "0" * 64},
        {"format": 1},
        {"skip": "so that nobody looks"},
        {"files": {}},
        {"incidents": [{"kind": "hang", "guest": "receiver", "detail": "", "t": ""}]},
    ],
)
def test_a_changed_manifest_is_an_error_whatever_it_says(change: Json) -> None:
    evidence = parse(with_manifest(written() | change))
    verdict = judge(evidence)
    assert verdict.word is Word.ERROR
    assert "altered since it was written" in verdict.findings[0].message
    assert {MANIFEST, "receiver/console.log"} <= evidence.altered


def test_no_fault_is_believed_of_a_file_that_a_changed_manifest_vouches_for() -> None:
    told = story("hold")
    told.machine.console.append("[    9.000000] Kernel panic - not syncing: Fatal exception")
    made = written(told)
    assert judge(parse(with_manifest(made, told))).word is Word.FAIL
    assert judge(parse(with_manifest(made | {"started": "x"}, told))).word is Word.ERROR


def test_an_altered_reference_is_no_reference() -> None:
    told = story("cost")
    assert told.reference is not None
    inner = written(told.reference)
    for change, word in (({}, Word.DONE), ({"started": "x"}, Word.ERROR)):
        data = json.dumps(inner | change).encode()
        told.tampered = {f"reference/{MANIFEST}": data}
        outer = fields(told)
        outer["files"][f"reference/{MANIFEST}"] = record_of(data).model_dump()
        files = {**told.files(), MANIFEST: with_digest(outer)}
        assert judge(parse(files)).word is word


def test_bundles_of_the_first_format_have_no_digest_and_are_judged_as_they_were() -> None:
    old = {key: value for key, value in fields().items() if key != "digest"} | {"format": 1}
    assert judge(parse(with_manifest(old))).word is Word.PASS
    assert judge(parse(with_manifest({k: v for k, v in old.items() if k != "format"}))).word is Word.PASS


BAD: list[tuple[str, Any]] = [
    ("pair.vcpus", 1_000_000),
    ("pair.vcpus", 0),
    ("pair.receiver_mib", -1),
    ("pair.sender_mib", 2**40),
    ("pair.runs_before", -1),
    ("pair.note", 5),
    ("mtu", -1),
    ("mtu", 10**9),
    ("floor", -0.1),
    ("floor", 1.5),
    ("floor", float("nan")),
    ("repeat", -1),
    ("repeat", 10**400),
    ("seconds.drive", -1),
    ("seconds.drive", 1e308),
    ("seconds.provision", float("inf")),
    ("clients.0.name", "../../etc"),
    ("clients.0.name", "a b"),
    ("clients.0.name", "abuser\n"),
    ("clients.0.name", ""),
    ("clients.0.limit", -1),
    ("clients.0.limit", 2**64),
    ("clients.0.deliver", -1),
    ("clients.0.seed", -1),
    ("clients.0.status", 2**40),
    ("clients.0.argv", ["x"] * 300),
    ("clients.0.argv", ["x" * 20_000]),
    ("case", "x" * 1000),
    ("kernel.name", "x" * 20_000),
    ("kernel.fragments", ["x"] * 300),
    ("host.accelerator", "magic"),
    ("incidents", [{"kind": "boot", "guest": "", "detail": "", "t": ""}] * 1001),
]


@pytest.mark.parametrize("format_", [1, 2])
@pytest.mark.parametrize(("key", "value"), BAD, ids=[f"{k}-{n}" for n, (k, _) in enumerate(BAD)])
def test_what_cannot_be_is_refused_by_its_key(key: str, value: object, format_: int) -> None:
    made = fields() | {"format": format_}
    *above, last = [int(part) if part.isdigit() else part for part in key.split(".")]
    place: Any = made
    for part in above:
        place = place[part]
    place[last] = value
    with pytest.raises(BadInput, match=f"manifest.json: {key}"):
        read_manifest({MANIFEST: json.dumps(made).encode()})


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "../x", "a/../b", "./a", "a//b", "a/", "", "x" * 600, "/".join("abcdefghijk"), "a\x1b[31m", "a\nb"],
)
def test_paths_stay_inside_the_bundle(path: str) -> None:
    made = fields()
    made["files"][path] = {"size": 0, "sha256": "0" * 64}
    with pytest.raises(BadInput, match=r"manifest\.json: files"):
        read_manifest({MANIFEST: json.dumps(made).encode()})


@pytest.mark.parametrize("record", [{"size": -1, "sha256": "0" * 64}, {"size": 0, "sha256": "0"}, {"size": 0}])
def test_a_record_of_a_file_is_a_size_and_a_hash(record: Json) -> None:
    made = fields()
    made["files"]["x"] = record
    with pytest.raises(BadInput, match=r"manifest\.json: files\.x"):
        read_manifest({MANIFEST: json.dumps(made).encode()})


def test_all_that_is_wrong_is_told_at_once() -> None:
    made = fields() | {"mtu": -1, "floor": 2}
    made["pair"]["vcpus"] = 1_000_000
    with pytest.raises(BadInput) as refusal:
        read_manifest({MANIFEST: json.dumps(made).encode()})
    assert [problem.split(": ")[1] for problem in refusal.value.problems] == ["pair.vcpus", "mtu", "floor"]


def test_two_clients_of_one_name_are_refused() -> None:
    made = fields()
    made["clients"] *= 2
    with pytest.raises(BadInput, match="two clients have one name"):
        read_manifest({MANIFEST: json.dumps(made).encode()})


@pytest.mark.parametrize("data", ["[" * 100_000, '{"format":' + "9" * 5000 + "}", '{"a":' * 100_000, '{"mtu": NaN}'])
def test_json_that_is_made_to_break_a_parser_is_refused(data: str) -> None:
    with pytest.raises(BadInput, match=r"manifest\.json"):
        read_manifest({MANIFEST: data.encode()})


def test_what_others_said_is_kept_as_far_as_it_fits() -> None:
    told = Incident(kind="boot", guest="", detail="\udcff" + "x" * 100_000, t="")
    assert len(told.detail) == 16_384
    assert told.detail.startswith("?x")
    made = Manifest(**fields() | {"incidents": [told]})
    assert read_manifest({MANIFEST: sealed(made)}).incidents == (told,)
