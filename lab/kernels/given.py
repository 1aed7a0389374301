# SPDX-License-Identifier: GPL-2.0-only
"""What users hand over for a kernel of their own: --series, --config, --name."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from lab.errors import BadInput, CommandFailed
from lab.host.commands import run
from lab.host.paths import temporary_folder
from lab.host.records import tell
from lab.kernels import unpatch
from lab.kernels.delivered import read_series
from lab.kernels.fragments import Fragment
from lab.kernels.naming import means_packaged
from lab.kernels.series import Series

_URL = re.compile(r"https?://[^\s/]+/(?:[\w.+-]+/)?(?P<id>[^\s/?#]+@[^\s/?#]+)(?:/.*)?")
_MESSAGE_ID = re.compile(r"<?(?P<id>[^\s<>/]+@[\w.-]+)>?")
_NAME_ENDS = (".gz", ".xz", ".bz2", ".mbox", ".mbx", ".patch", ".diff", ".eml", ".txt")
B4 = "apt-get install b4, or pipx install b4; or save URL/t.mbox.gz of the thread, and name that file"


def series_given(text: str) -> Series:
    """The series in a file or directory; of a thread on lore where it is a message-id or URL. Tells what is left out.
    Raises BadInput."""
    path = Path(text).expanduser()
    found = None if path.exists() else _URL.fullmatch(text) or _MESSAGE_ID.fullmatch(text)
    if found is None and re.match(r"https?://", text):
        raise BadInput([f"--series {text}: no message-id in it."], hint="https://lore.kernel.org/LIST/MESSAGE-ID/")
    series = _by_b4(found["id"]) if found else read_series(path)
    for words in series.left_out:
        tell(f"left out: {words}")
    return series


def _by_b4(message_id: str) -> Series:
    if shutil.which("b4") is None:
        raise BadInput([f"--series {message_id}: b4, which fetches a thread, is not on this host."], hint=B4)
    with temporary_folder() as work:
        try:
            run(["b4", "am", "--no-cover", "-o", str(work), "-n", "series", "--", message_id], cwd=work)
        except CommandFailed as exc:
            said = exc.output.strip().splitlines()[-1:]
            raise BadInput([f"--series {message_id}: b4 cannot fetch it ({' '.join(said)})."], hint=B4) from exc
        made = sorted(work.glob("*.mbx"))
        if not made:
            raise BadInput([f"--series {message_id}: b4 found no patches in that thread."], hint=B4)
        return read_series(made[0])


def read_fragment(path: Path) -> Fragment:
    """A file of options. Raises BadInput."""
    if not path.is_file():
        raise BadInput([f"{path}: {'it is a directory' if path.is_dir() else 'there is no such file'}."])
    data = path.read_bytes()
    wrong = unpatch.container(data)
    if wrong and data.strip():
        raise BadInput([f"{path}: it {wrong.what}."], hint=wrong.cure)
    try:
        return Fragment(str(path), data.decode("utf-8-sig"))
    except UnicodeDecodeError as exc:
        line = data[: exc.start].count(b"\n") + 1
        raise BadInput([f"{path}:{line}: it is not UTF-8."], hint=f"iconv -f LATIN1 -t UTF-8 {path} > NEW") from exc


def name_given(name: str, base: str, series: str) -> tuple[str, str]:
    """What to call a kernel: the name given, else that of its series, else of its base; and what is wrong with it."""
    own = name or _name_from(base, series)
    if not means_packaged(own):
        return own, ""
    if name:
        return own, f"--name {own!r}: that means a packaged kernel; choose another name."
    return own, f"without --name this kernel would be called {own!r}, which means a packaged one; add --name NAME."


def _name_from(base: str, series: str) -> str:
    place = series or base.partition("#")[0]
    found = None if Path(place).exists() else _URL.fullmatch(place) or _MESSAGE_ID.fullmatch(place)
    stem = found["id"].partition("@")[0] if found else Path(place).expanduser().resolve().name if series else place
    stem = stem if series else Path(stem).name
    for end in (e for _ in range(2) for e in _NAME_ENDS):
        stem = stem.removesuffix(end)
    return re.sub(r"[^\w.-]+", "-", stem, flags=re.ASCII).strip("-.") or "own"
