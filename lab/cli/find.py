# SPDX-License-Identifier: GPL-2.0-only
"""Finds stored runs and sessions by what a user calls them. Needs neither libvirt nor QEMU."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from lab.errors import BadInput

HINT = "lab show (lists the runs of the newest session)"


def is_bundle(path: Path) -> bool:
    """Whether a folder has a manifest, or what bundles of an experiment had instead in earlier days."""
    from lab.contracts import MANIFEST

    return (path / MANIFEST).is_file() or _is_older(path)


def _is_older(path: Path) -> bool:
    from lab.experiments.found import older_records

    return any((path / name).is_file() for name in older_records())


def is_session(path: Path) -> bool:
    """Whether a folder has a plan, or bundles of before there were plans of them."""
    from lab.plan.session import PLAN_FILE

    return (path / PLAN_FILE).is_file() or (path.is_dir() and any(_is_older(inside) for inside in path.iterdir()))


def is_pruned(path: Path) -> bool:
    """Whether nothing but its rows is left of a bundle."""
    from lab.contracts import HUSK

    return not is_bundle(path) and (path / HUSK).is_file()


def sessions(root: Path) -> list[Path]:
    """Folders of all stored sessions, newest first; their names begin with the time they started."""
    if not root.is_dir():
        return []
    return sorted((p for p in root.iterdir() if is_session(p)), key=lambda p: p.name, reverse=True)


def bundles_of(session: Path) -> list[Path]:
    """The runs of a session that have left a bundle, by name."""
    return sorted(p for p in session.iterdir() if is_bundle(p))


def pruned_of(session: Path) -> list[Path]:
    """The runs of a session of which only the rows are left, by name."""
    return sorted(p for p in session.iterdir() if is_pruned(p))


def newest_session(root: Path) -> Path:
    """The newest in which something was run. Raises BadInput when nothing was run yet."""
    stored = sessions(root)
    if not stored:
        raise BadInput([f"{root} holds no session"], hint="lab run fast, or --results FOLDER")
    found = next((folder for folder in stored if bundles_of(folder)), None)
    if found is None:
        raise BadInput([f"{root} holds no session in which anything was run"], hint="lab run fast, or lab archive list")
    return found


def find(name: str, root: Path, others: list[Path] | None = None) -> Path:
    """The bundle or session folder that is meant by a path, a run id, a session's name, or the beginning of one.

    Of runs that begin alike the newest session's are meant. Raises BadInput, listing the candidates when that session
    has several, and near names when there is none.

    others  for who can do with the run of these that ended last: gets the rest of them
    """
    path = Path(name)
    if is_bundle(path) or is_session(path):
        return path.resolve()
    stored = sessions(root)
    exact = [p for s in stored for p in (s, s / name) if p.name == name and (is_bundle(p) or is_session(p))]
    if exact:
        return exact[0]
    if gone := [p for s in stored for p in (s / name, path) if name and is_pruned(p)]:
        raise BadInput([f"{gone[0]} was pruned: its bytes are gone"], hint=f"lab archive show {gone[0].name}")
    begun = [s for s in stored if name and s.name.startswith(name)]
    runs = next((r for s in stored if (r := [b for b in bundles_of(s) if name and b.name.startswith(name)])), [])
    if others is not None and not begun and len(runs) > 1:
        last, *rest = sorted(runs, key=lambda run: (_ended(run), run.name), reverse=True)
        others += rest
        return last
    return _only([*begun, *runs], name, stored, root)


def _ended(run: Path) -> int:
    """When its evidence was complete: the manifest comes last, and what is derived is written anew later."""
    from lab.contracts import MANIFEST

    record = run / MANIFEST
    return (record if record.is_file() else run).stat().st_mtime_ns


def find_run(name: str, root: Path) -> Path:
    """As `find`, but only a bundle will do."""
    found = find(name, root)
    if is_bundle(found):
        return found
    inside = [b.name for b in bundles_of(found)]
    raise BadInput([f"{name!r} is a session of {len(inside)} runs: {', '.join(inside) or 'none'}"], hint=HINT)


def _only(found: Sequence[Path], name: str, stored: Sequence[Path], root: Path) -> Path:
    if len(found) == 1:
        return found[0]
    if found:
        names = "".join(f"\n  {p.name}" for p in found)
        raise BadInput([f"{name!r} may mean {len(found)} things:{names}"], hint="type more letters of the one you mean")
    known = [p.name for s in stored for p in (s, *bundles_of(s))]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    close = f"; close: {', '.join(near)}" if near else ""
    raise BadInput([f"no run or session {name!r} in {root}, and no such folder{close}"], hint=HINT)
