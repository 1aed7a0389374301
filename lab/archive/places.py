# SPDX-License-Identifier: GPL-2.0-only
"""Where bundles lie: the results folder itself, and the places that were added to its archive.

    PLACE/SESSION/RUN   as a results folder is;  PLACE/RUN, or PLACE itself, as somebody sends bundles

Nothing is followed through a link, and no more is looked at than a bound allows.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.archive.index import FOLDER
from lab.archive.rows import NAME, TEXT
from lab.contracts import HUSK, MANIFEST
from lab.errors import BadInput
from lab.experiments.found import older_records
from lab.host.filecache import locked
from lab.host.records import read_record, write_record
from lab.plan.session import PLAN_FILE
from lab.text.words import printable

PLACES = "places.json"
ENTRIES = 5_000_000
"""Entries of folders that are looked at in one place."""
MOST_PLACES = 100
HERE = "."

_SET_ASIDE = re.compile(r".*\.lost-\d+")
"""What a run left whose worker died; it was run again."""


@dataclass(frozen=True)
class Seen:
    """A bundle: PLACE/FOLDER/NAME, each HERE where there is no such level.

    record  the file that makes the folder a bundle: a manifest, what older ones had instead, or a husk
    stamp   changes when that file does
    """

    place: str
    folder: str
    name: str
    record: str
    stamp: str


@dataclass
class View:
    """What lies in a place: bundles, and folders of sessions by the stamp of their plan ("" for none).

    problems  what was not looked at, and why
    """

    place: str
    root: Path
    bundles: list[Seen] = field(default_factory=list)
    folders: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    left: int = ENTRIES


def path_of(root: Path, place: str, *parts: str) -> Path:
    """The place itself, or what lies in it."""
    return Path(place or root).joinpath(*parts)


def look(root: Path, place: str = "") -> View | None:
    """What lies in a place now; None when it cannot be reached."""
    where = path_of(root, place)
    view = View(place, where)
    if not where.is_dir():
        return None
    if place and (found := _seen(where, place, HERE, HERE)):
        view.bundles.append(found)
        view.folders[HERE] = ""
        return view
    direct = _folder(view, where, HERE) if place else []
    for name in _names(view, where):
        if name not in direct:
            _folder(view, where / name, name)
    return view


def look_at(root: Path, folder: str, name: str) -> Seen | None:
    """One bundle of the results folder."""
    return _seen(root / folder / name, "", folder, name)


def plan_stamp(folder: Path) -> str:
    return _stamp(folder / PLAN_FILE)


def _folder(view: View, path: Path, folder: str) -> list[str]:
    """Take what a folder of runs holds; the names of its bundles."""
    plan = plan_stamp(path)
    found = [seen for name in _names(view, path) if (seen := _seen(path / name, view.place, folder, name))]
    if plan or found:
        view.folders[folder] = plan
    view.bundles += found
    return [seen.name for seen in found]


def _names(view: View, path: Path) -> Iterator[str]:
    """Folders that may be sessions or bundles, by name."""
    names: list[str] = []
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        for entry in entries:
            view.left -= 1
            if view.left < 0:
                view.problems.append(f"{path}: more than {ENTRIES} entries: the rest was not looked at")
                break
            if not entry.is_dir(follow_symlinks=False) or entry.name.startswith(".") or _SET_ASIDE.match(entry.name):
                continue
            if printable(entry.name) != entry.name or len(entry.name) > NAME:
                view.problems.append(f"{path}/{printable(entry.name, NAME)}: a name that nobody can show")
            else:
                names.append(entry.name)
    return iter(sorted(names))


def _seen(path: Path, place: str, folder: str, name: str) -> Seen | None:
    for file in (MANIFEST, *older_records(), HUSK):
        if stamp := _stamp(path / file):
            return Seen(place, folder, name, file, stamp)
    return None


def _stamp(path: Path) -> str:
    """What changes when a file is written anew; "" where there is no regular file."""
    try:
        seen = path.lstat()
    except OSError:
        return ""
    if not stat.S_ISREG(seen.st_mode):
        return ""
    return f"{path.name} {seen.st_ino} {seen.st_size} {seen.st_mtime_ns} {seen.st_ctime_ns}"


# -- places that were added ------------------------------------------------------------------------------------------


def places(root: Path) -> tuple[str, ...]:
    """The results folder itself, and what was added to it."""
    return ("", *(read_record(root / FOLDER / PLACES, _as_places) or ()))


def add_place(root: Path, folder: Path) -> None:
    """Have the archive of a results folder know another one. Raises BadInput, OSError when it cannot be noted."""
    path = folder.expanduser().resolve()
    problem = _unfit(root, path)
    if problem:
        raise BadInput([problem], hint="name a results folder, a session or a bundle")
    _note(root, (*_added(root), str(path)))


def forget_place(root: Path, folder: Path) -> None:
    """Have the archive no longer know a place. Raises BadInput, OSError when that cannot be noted."""
    path, added = str(folder.expanduser().resolve()), _added(root)
    if path not in added:
        raise BadInput([f"{path} was not added"], hint=f"added: {', '.join(added) or 'nothing'}")
    _note(root, [place for place in added if place != path])


def _added(root: Path) -> tuple[str, ...]:
    return places(root)[1:]


def _note(root: Path, added: Sequence[str]) -> None:
    target = root / FOLDER / PLACES
    with locked(target, progress=lambda _: None):
        write_record(target, {"places": list(dict.fromkeys(added))})


def _unfit(root: Path, path: Path) -> str:
    view = look(root, str(path))
    if view is None:
        return f"{path}: there is no such folder"
    if path == root.resolve() or root.resolve() in path.parents:
        return f"{path} is in the results folder {root}, and in its archive by itself"
    if printable(str(path)) != str(path) or len(str(path)) > TEXT:
        return f"{printable(str(path), NAME)}: a path that nobody can show"
    if len(_added(root)) >= MOST_PLACES:
        return f"{MOST_PLACES} places are known already"
    return "" if view.bundles else f"{path} holds no bundle, no session, and no folder of sessions"


def _as_places(record: dict[str, object]) -> tuple[str, ...]:
    told = record["places"]
    if not isinstance(told, list) or not all(isinstance(place, str) and place.startswith("/") for place in told):
        raise ValueError("it names no folders")
    return tuple(told[:MOST_PLACES])
