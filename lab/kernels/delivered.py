# SPDX-License-Identifier: GPL-2.0-only
"""Series as they are delivered: an mbox, one patch, a bare diff, a directory, quilt's series; packed or not.

git does what git can: it takes mailboxes apart, decodes mails, and reads each diff before anybody waits for a build.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from lab.errors import BadInput, CommandFailed
from lab.host.commands import run
from lab.host.paths import temporary_folder
from lab.kernels import quilt, unpatch
from lab.kernels.choosing import Mail, chosen
from lab.kernels.mails import GIT, first_from, is_mail, mails_in
from lab.kernels.plain import patches_in
from lab.kernels.series import Patch, Series, raw
from lab.units import MIB

MOST = 64 * MIB
"""Bytes of a file, unpacked too. The largest series on the lists have some 5 MiB."""

_BOM = b"\xef\xbb\xbf"
_PACKED: dict[bytes, Callable[[IO[bytes]], gzip.GzipFile | lzma.LZMAFile | bz2.BZ2File]] = {
    b"\x1f\x8b": lambda stream: gzip.GzipFile(fileobj=stream),
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"BZh": bz2.BZ2File,
}
_PATCHES = ("*.patch", "*.diff", "*.mbox", "*.mbx", "*.eml")
_ENDS = (".gz", ".xz", ".bz2")


def read_series(path: Path) -> Series:
    """A series from an mbox, a patch, a bare diff, a directory of patches, or a quilt series. Raises BadInput."""
    try:
        if path.is_dir():
            return _directory(path)
        if not path.exists():
            raise BadInput([f"{path}: there is no such file."])
        if path.name in ("series", "series.conf"):
            return _quilted(path)
        return from_mbox(_content(path), str(path))
    except OSError as exc:
        raise BadInput([f"{path}: cannot be read: {exc.strerror or exc}."]) from exc


def from_mbox(data: bytes, source: str) -> Series:
    """The series in the content of one file. Raises BadInput."""
    return _checked(chosen(_read(data, source), source), source, data)


def from_files(files: Iterable[tuple[str, bytes]]) -> Series:
    """The series of a directory's patch files (name, content). Covers are left out. Raises BadInput.

    By the numbers in the subjects where those leave no doubt, else in the order of the names, as `git am *.patch` does.
    """
    read = [(name, _read(data, name), data) for name, data in sorted(files)]
    every = [mail for _, mails, _ in read for mail in mails]
    if _is_thread(every):
        return _checked(chosen(every, str(Path(read[0][0]).parent)), read[0][0], b"")
    parts, problems = list[Series](), list[str]()
    for name, mails, data in read:
        if mails and all(m.subject.is_cover for m in mails):
            continue
        try:
            parts.append(_checked(chosen(mails, name), name, data))
        except BadInput as exc:
            problems += exc.problems
    if problems or not parts:
        raise BadInput(problems or [f"{read[0][0]}: it holds no patch."], hint=unpatch.CURE)
    left_out = [f"{m.told} is a cover letter" for m in every if m.diff and m.subject.is_cover]
    found = sum(parts, Series((), tuple(left_out)))
    return Series(tuple(_by_number(found.patches)), tuple(dict.fromkeys(found.left_out)))


def _is_thread(mails: Sequence[Mail]) -> bool:
    """Whether files are the mails of a thread: with answers that have a diff, or two versions of the same patch."""
    with_diff = [m for m in mails if m.diff]
    versions = {(m.subject.title, m.subject.version) for m in with_diff}
    return len({title for title, _ in versions}) < len(versions) or (
        len(with_diff) > 1 and any(m.subject.is_reply for m in with_diff)
    )


def _by_number(patches: Sequence[Patch]) -> Sequence[Patch]:
    numbers = {p.number for p in patches}
    is_one = len({p.total for p in patches}) == 1 and len(numbers) == len(patches) and 0 not in numbers
    return sorted(patches, key=lambda p: p.number) if is_one else patches


def _read(data: bytes, source: str) -> list[Mail]:
    """What may be patches in the content of a file. Raises BadInput."""
    data = _unpacked(data, source).removeprefix(_BOM).lstrip(b" \t\r\n")
    if wrong := unpatch.container(data):
        raise BadInput([f"{source}: it {wrong.what}."], hint=wrong.cure)
    at = 0 if is_mail(data) else first_from(data)
    above = data[:at] if at >= 0 else data
    found = patches_in(above.decode("utf-8", "surrogateescape"), source) if above else []
    found = [m for m in found if m.diff]
    if at >= 0:
        try:
            with temporary_folder() as work:
                found += mails_in(data[at:], source, work)
        except CommandFailed as exc:
            raise BadInput([f"{source}: git cannot read it as mail: {_last(exc)}."], hint=unpatch.CURE) from exc
    return found


def _checked(series: Series, source: str, data: bytes, options: tuple[str, ...] = ()) -> Series:
    """The series, each diff of it one that git can read. Raises BadInput that says what the file is instead."""
    if not series.patches:
        text = _unpacked(data, source).decode("utf-8", "replace").replace("\r\n", "\n")
        others = "".join(f"; {words}" for words in series.left_out)
        told = unpatch.no_patch(text)
        raise BadInput([f"{source}: it {told.what}{others}."], hint=told.cure)
    patches, problems = list[Patch](), list[str]()
    for patch in series.patches:
        readable, why = _readable(replace(patch, options=options))
        patches.append(readable)
        problems += [f"{patch.source}: {why}."] if why else []
    if problems:
        raise BadInput(problems, hint=unpatch.CURE)
    return replace(series, patches=tuple(patches))


def _readable(patch: Patch) -> tuple[Patch, str]:
    """The patch as git can read it, and why it cannot."""
    if unpatch.is_combined(patch.diff):
        told = unpatch.no_patch(patch.diff)
        return patch, f"it {told.what}; {told.cure}"
    said = _numstat(patch)
    if said and "\r\n" in patch.diff:  # an empty line of the context that ends in CR LF is none for git
        stripped = replace(patch, diff=patch.diff.replace("\r\n", "\n"))
        if not _numstat(stripped):
            return stripped, ""
    return patch, unpatch.flaw(patch.diff, said) if said or unpatch.lacks_binary(patch.diff) else ""


def _numstat(patch: Patch) -> str:
    """What git says of a diff that it cannot read."""
    try:
        run(["git", "apply", "--numstat", "-z", *patch.options, "-"], env=GIT, data=raw(patch.diff))
    except CommandFailed as exc:
        return exc.output
    return ""


def _directory(path: Path) -> Series:
    for listed in (path / "series", path / "patches" / "series"):
        if listed.is_file():
            return _quilted(listed)
    boxes = [d for d in (path / "cur", path / "new") if d.is_dir()]
    if boxes:
        files = sorted(f for box in boxes for f in box.iterdir() if f.is_file())
        every = [mail for f in files for mail in _read(_content(f), str(f))]
        return _checked(chosen(every, str(path)), str(path), b"")
    files = patch_files(path)
    if not files:
        raise BadInput(
            [f"{path}: no patches in it ({', '.join(_PATCHES)}, or a file named series)."], hint=unpatch.CURE
        )
    return from_files((str(f), _content(f)) for f in files)


def patch_files(directory: Path) -> list[Path]:
    """The files of a directory that should hold patches, in the order of their names."""
    wanted = [pattern + end for pattern in _PATCHES for end in ("", *_ENDS)]
    return sorted({f for pattern in wanted for f in directory.glob(pattern) if f.is_file()})


def _quilted(listed: Path) -> Series:
    """The patches that a file `series` names, in its order."""
    text = _content(listed).removeprefix(_BOM).decode("utf-8", "replace")
    parts, problems = list[Series](), list[str]()
    for entry in quilt.parse(text, str(listed)):
        file = listed.parent / entry.name
        if not file.is_file():
            problems.append(f"{listed}:{entry.line}: {entry.name}: there is no such file.")
            continue
        try:
            data = _content(file)
            parts.append(_checked(chosen(_read(data, str(file)), str(file)), str(file), data, entry.options))
        except BadInput as exc:
            problems += exc.problems
    if problems:
        raise BadInput(problems, hint=quilt.HINT)
    return sum(parts, Series())


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise BadInput([f"{path}: it is no file."])
    if path.stat().st_size > MOST:
        raise BadInput([f"{path}: it is larger than {MOST // MIB} MiB."], hint=unpatch.CURE)
    return path.read_bytes()


def _unpacked(data: bytes, source: str) -> bytes:
    """The content, of a packed file too. Raises BadInput."""
    opened = next((make for magic, make in _PACKED.items() if data.startswith(magic)), None)
    if opened is None:
        return data
    try:
        with opened(io.BytesIO(data)) as stream:
            content = stream.read(MOST + 1)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as exc:
        raise BadInput([f"{source}: it is packed, and damaged ({exc})."], hint="fetch it again") from exc
    if len(content) > MOST:
        raise BadInput([f"{source}: it is larger than {MOST // MIB} MiB when unpacked."], hint=unpatch.CURE)
    return content


def _last(failed: CommandFailed) -> str:
    return next(iter(failed.output.strip().splitlines()[-1:]), f"status {failed.status}")
