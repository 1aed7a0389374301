# SPDX-License-Identifier: GPL-2.0-only
"""Streams from anywhere: what one may hold, and that nothing of it lands outside."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from lab.errors import BadInput
from lab.fleet.stream import Bounds, pack, unpack

ALLOWED = Bounds({"run", "batch.json"}, 10, 1 << 20)


def member(
    name: str, data: bytes = b"x", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data), kind, link
    return info, data


def stream_of(*members: tuple[tarfile.TarInfo, bytes], kind: int = tarfile.USTAR_FORMAT) -> io.BytesIO:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=kind) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return io.BytesIO(zstandard.compress(plain.getvalue()))


def test_what_was_packed_is_unpacked_as_it_was_and_links_stay_behind(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "run" / "receiver").mkdir(parents=True)
    (source / "run" / "receiver" / "console.log").write_bytes(b"a\0\xff" * 100_000)
    (source / "run" / "link").symlink_to("/etc/passwd")
    (source / "batch.json").write_text("{}")
    (source / "other").write_text("not asked for")
    stream = io.BytesIO()
    digest, size = pack(source, ["run", "batch.json"], stream)
    assert size == len(stream.getvalue())
    assert len(digest) == 64
    stream.seek(0)
    assert unpack(stream, tmp_path / "target", ALLOWED) == 2
    found = {str(p.relative_to(tmp_path / "target")): p for p in (tmp_path / "target").rglob("*") if p.is_file()}
    assert set(found) == {"batch.json", "run/receiver/console.log"}
    assert found["run/receiver/console.log"].read_bytes() == b"a\0\xff" * 100_000
    assert found["batch.json"].stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: stream_of(member("../run/x")), "no name of a file"),
        (lambda: stream_of(member("run/../../x")), "no name of a file"),
        (lambda: stream_of(member("/run/x")), "no name of a file"),
        (lambda: stream_of(member("run/.ssh")), "no name of a file"),
        (lambda: stream_of(member("run//x")), "no name of a file"),
        (lambda: stream_of(member("run/\x1b[2J")), "no name of a file"),
        (lambda: stream_of(member("other/x")), "nobody asked for it"),
        (lambda: stream_of(member("run/" + "a/" * 20 + "x")), "too deep"),
        (lambda: stream_of(member("run/x", b"", tarfile.SYMTYPE, "/etc/passwd")), "no plain file"),
        (lambda: stream_of(member("run/x", b"", tarfile.LNKTYPE, "run/y")), "no plain file"),
        (lambda: stream_of(member("run/x", b"", tarfile.FIFOTYPE)), "no plain file"),
        (lambda: stream_of(member("run/x", b"", tarfile.CHRTYPE)), "no plain file"),
        (lambda: stream_of(member("run", b"", tarfile.DIRTYPE)), "no plain file"),
        (lambda: stream_of(member("run/" + "a" * 200), kind=tarfile.GNU_FORMAT), "no plain file"),
        (lambda: stream_of(member("run/" + "ä" * 200), kind=tarfile.PAX_FORMAT), "no plain file"),
        (lambda: stream_of(*(member(f"run/{n}") for n in range(11))), "more than 10 files"),
        (lambda: stream_of(member("run/x", bytes((1 << 20) + 1))), "more than 1 MiB"),
        (lambda: stream_of(*(member(f"run/{n}", bytes(300_000)) for n in range(5))), "more than 1 MiB"),
        (lambda: stream_of(member("run/x"), member("run/x")), "there twice"),
        (lambda: stream_of(member("run/x"), member("run/x/y")), "there twice"),
        (
            lambda: io.BytesIO(stream_of(member("run/x", bytes(range(256)) * 999)).getvalue()[:60]),
            "damaged|ends inside",
        ),
        (lambda: io.BytesIO(b"no stream at all"), "damaged"),
    ],
)
def test_what_is_refused(tmp_path: Path, made: Callable[[], io.BytesIO], said: str) -> None:
    with pytest.raises(BadInput, match=said) as told:
        unpack(made(), tmp_path / "a" / "target", ALLOWED)
    assert str(told.value).isprintable()
    outside = [p for p in tmp_path.rglob("*") if p.is_file() and (tmp_path / "a" / "target") not in p.parents]
    assert outside == []


def test_a_header_that_names_no_end_costs_no_memory(tmp_path: Path) -> None:
    """An extended header may have any size: it is refused before any of it is read."""
    header = tarfile.TarInfo("run/x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 32
    stream = io.BytesIO(zstandard.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(1 << 20)))
    with pytest.raises(BadInput, match="no plain file"):
        unpack(stream, tmp_path / "target", ALLOWED)
