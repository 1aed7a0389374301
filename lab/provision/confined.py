# SPDX-License-Identifier: GPL-2.0-only
"""Whom QEMU runs as where the lab runs as root, and how that user gets to see what a guest needs, and no more.

Root's cache and results often lie below directories that nobody else may enter (/root). Nothing is opened up for that:
the one thread that starts a guest gives itself a mount namespace, covers each closed directory there by an empty one,
and binds the guest's own files into it, at the very paths they have. QEMU is forked from that thread; everybody else
sees what was always there, and the mounts end with the guest.
"""

from __future__ import annotations

import ctypes
import functools
import grp
import os
import pwd
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lab.errors import HostTrouble

T = TypeVar("T")

USER = "libvirt-qemu"
"""What Debian's libvirt calls it; `lab setup` makes it."""
DEVICES = (Path("/dev/kvm"), Path("/dev/net/tun"))
_WORKBENCH = "/mnt"
"""Covered in the thread's own namespace while device nodes are made there: a place that every system has."""

# linux/sched.h, linux/mount.h
_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8
_MNT_DETACH = 2
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Account:
    """A user of this host, by name, and all groups it is in."""

    name: str
    uid: int
    gid: int
    groups: frozenset[int]


@dataclass(frozen=True)
class Needs:
    """What a guest needs on this host: files it reads, files it writes to, directories it works in.

    shared  directories in which the thread that starts it makes a socket for others to find; they stay ours
    """

    reads: tuple[Path, ...] = ()
    writes: tuple[Path, ...] = ()
    folders: tuple[Path, ...] = ()
    shared: tuple[Path, ...] = ()


@functools.cache
def account() -> tuple[Account | None, str]:
    """Whom QEMU runs as, None for this process's own user; and, where that is root, why."""
    if os.geteuid():
        return None, ""
    try:
        known = pwd.getpwnam(USER)
    except KeyError:
        return None, f"there is no user {USER}"
    groups = {group.gr_gid for group in grp.getgrall() if USER in group.gr_mem}
    found = Account(USER, known.pw_uid, known.pw_gid, frozenset({known.pw_gid, *groups}))
    try:
        apart(found, Needs(), lambda: None)
    except OSError as exc:
        return None, f"this process may not make a mount namespace ({exc.strerror})"
    return found, ""


def hand_over(who: Account, needs: Needs) -> None:
    """Give the user the files it writes to and its folders, and let it read what it reads. Raises HostTrouble.

    What is as it should be is left alone: a file that was touched is hashed again.
    """
    try:
        for path in needs.writes:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                _own(fd, who, 0o600)
            finally:
                os.close(fd)
        for path in needs.folders:
            _own(path, who, 0o700)
        for path in needs.shared:  # the way to what lies in them; those above keep everybody else out
            path.chmod(stat.S_IMODE(path.stat().st_mode) | stat.S_IXGRP | stat.S_IXOTH)
        for path in needs.reads:
            mode = path.stat().st_mode
            if not mode & stat.S_IROTH:
                path.chmod(stat.S_IMODE(mode) | stat.S_IROTH)
    except OSError as exc:
        raise HostTrouble(f"{exc.filename or 'a file'} cannot be given to {who.name}: {exc.strerror}") from exc


def take_back(needs: Needs) -> None:
    """What a guest wrote is ours again: it must not be changed once the guest is gone."""
    for path in needs.writes:
        if path.suffix != ".ram" and path.exists():
            os.chown(path, os.geteuid(), os.getegid(), follow_symlinks=False)


def apart(who: Account, needs: Needs, do: Callable[[], T]) -> T:
    """What `do` returns in a thread, and for processes begun there, to which the user can get at what it needs.

    Raises what `do` raises, and OSError where that cannot be had.
    """

    def work() -> T:
        _see_only(who, (*needs.shared, *needs.reads, *needs.writes, *needs.folders))
        return do()

    with ThreadPoolExecutor(1, thread_name_prefix="apart") as pool:
        return pool.submit(work).result()


def closed(path: Path, who: Account) -> Path | None:
    """The outermost directory above a path that the user may not enter; None when it can get there. Links of access
    control lists are not read: what they allow is made reachable once more."""
    for folder in reversed(path.parents):
        if not _may(folder.stat(), who, stat.S_IXUSR):
            return folder
    return None


def _may(about: os.stat_result, who: Account, bit: int) -> bool:
    """By the mode of a file. `bit`: that of its owner for what is wanted."""
    if about.st_uid == who.uid:
        return bool(about.st_mode & bit)
    if about.st_gid in who.groups:
        return bool(about.st_mode & bit >> 3)
    return bool(about.st_mode & bit >> 6)


def _own(target: int | Path, who: Account, mode: int) -> None:
    about = os.stat(target)
    if (about.st_uid, about.st_gid) != (who.uid, who.gid):
        os.chown(target, who.uid, who.gid)
    if stat.S_IMODE(about.st_mode) != mode:
        os.chmod(target, mode)


def _see_only(who: Account, paths: Iterable[Path]) -> None:
    _check(_LIBC.unshare(_CLONE_NEWNS))
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    _open_devices(who)
    covered: dict[Path, list[tuple[Path, int]]] = {}
    for path in dict.fromkeys(paths):
        lid = closed(path, who)
        if lid is not None:
            covered.setdefault(lid, []).append((path, os.open(path, os.O_PATH | os.O_CLOEXEC)))
    for lid, inside in covered.items():
        _mount("lab", str(lid), "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, "mode=711,size=1m")
        for path, fd in inside:
            _bind(path, fd)


def _bind(path: Path, fd: int) -> None:
    """What was opened before its directory was covered, at its place again."""
    path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        path.mkdir(exist_ok=True)
    else:
        path.touch()
    _mount(f"/proc/self/fd/{fd}", str(path), None, _MS_BIND)
    os.close(fd)


def _open_devices(who: Account) -> None:
    """Device nodes of the user's own in place of those that it may not open; where nodes cannot be made, it may not."""
    shut = [path for path in DEVICES if path.exists() and not _may(path.stat(), who, stat.S_IRUSR | stat.S_IWUSR)]
    if not shut:
        return
    _mount("lab", _WORKBENCH, "tmpfs", _MS_NOSUID | _MS_NOEXEC, "mode=700,size=64k")
    try:
        for path in shut:
            node = Path(_WORKBENCH) / path.name
            os.mknod(node, stat.S_IFCHR | 0o600, path.stat().st_rdev)
            os.chown(node, who.uid, who.gid)
            _mount(str(node), str(path), None, _MS_BIND)
    except PermissionError:  # a container without the right to make nodes: KVM and taps are not to be had
        pass
    finally:
        _check(_LIBC.umount2(_WORKBENCH.encode(), _MNT_DETACH))


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    words = [None if word is None else word.encode() for word in (source, target, kind, options)]
    _check(_LIBC.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3]), target)


def _check(status: int, path: str = "") -> None:
    if status:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path or None)
