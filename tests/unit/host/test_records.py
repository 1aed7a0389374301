# SPDX-License-Identifier: GPL-2.0-only
"""Small records: whole or not there, and a damaged one counts as none, whatever happened to it."""

from __future__ import annotations

import contextlib
import errno
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.host.records import DIGEST, load_record, parse_record, read_record, write_record

VALUE = {"said": "a guest booted", "numbers": [1, 2.5, None], "more": {"2": True}}


def same(record: dict[str, Any]) -> dict[str, Any]:
    return record


def test_what_is_written_is_read_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_record(tmp_path / "sub" / "r.json", VALUE)
    assert read_record(tmp_path / "sub" / "r.json", same) == VALUE
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["r.json"]
    assert json.loads((tmp_path / "sub" / "r.json").read_text())["said"] == VALUE["said"]
    assert capsys.readouterr().err == ""


def test_one_that_was_never_written_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read_record(tmp_path / "r.json", same) is None
    assert capsys.readouterr().err == ""


def test_one_from_before_there_were_digests_is_read(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{"said": ""}')
    assert read_record(tmp_path / "r.json", same) == {"said": ""}


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe", b"[]", b"3", b"null", b'{"said": \x1b[31m}', b"[" * 100_000])
def test_a_damaged_one_is_told_once_with_its_path_and_replaced(
    data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(data)
    assert read_record(path, same) is None
    told = capsys.readouterr().err
    assert f"{path} is damaged, so it is not used" in told
    assert "\x1b" not in told
    assert read_record(path, same) is None
    assert capsys.readouterr().err == ""
    write_record(path, VALUE)
    assert read_record(path, same) == VALUE
    assert (tmp_path / "r.json.damaged").read_bytes() == data


@pytest.mark.parametrize("missing", ["said", "numbers"])
def test_one_without_what_is_asked_for_is_damaged(
    missing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_record(tmp_path / "r.json", {k: v for k, v in VALUE.items() if k != missing})
    assert read_record(tmp_path / "r.json", lambda record: (record["said"], record["numbers"])) is None
    assert f"no '{missing}'" in capsys.readouterr().err


@given(st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_flipped_bit_is_seen(tmp_path: Path, data: st.DataObject) -> None:
    """In its values; flipped in the name of the digest itself, or in a blank, it changes nothing that is read."""
    path = tmp_path / "r.json"
    write_record(path, VALUE)
    whole = path.read_bytes()
    place, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    flipped = whole[:place] + bytes([whole[place] ^ (1 << bit)]) + whole[place + 1 :]
    with contextlib.suppress(ValueError):
        read = parse_record(flipped)
        known = [key for key in read if key not in VALUE]
        assert {key: read[key] for key in VALUE} == VALUE
        assert len(known) <= 1  # the digest under another name


def test_half_a_record_is_never_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_record(tmp_path / "r.json", VALUE)

    def full(_self: Path, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match=r"No space left.*r\.json"):
        write_record(tmp_path / "r.json", {"said": "other"})
    monkeypatch.undo()
    assert load_record(tmp_path / "r.json") == VALUE
    assert DIGEST not in load_record(tmp_path / "r.json")
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]
