# SPDX-License-Identifier: GPL-2.0-only
"""Whom QEMU runs as under root, and what that user gets to see: real users, real mounts, in threads of their own."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab.errors import HostTrouble
from lab.provision import confined
from lab.provision.confined import Account, Needs, account, apart, closed, hand_over, take_back
from lab.provision.hypervisor import _configuration, _own_folders, _share_cache

WHO = Account("nobody", 65534, 65534, frozenset({65534}))


def may_make_namespaces() -> bool:
    try:
        apart(WHO, Needs(), lambda: None)
    except OSError:
        return False
    return True


needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not may_make_namespaces(), reason="only root gives a thread a mount namespace"
)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A directory that only its owner may enter, as /root is."""
    folder = tmp_path / "secret"
    (folder / "sub" / "work").mkdir(parents=True)
    for name in ("kernel", "console", "other"):
        (folder / "sub" / name).write_text(name)
    tmp_path.chmod(0o755)
    folder.chmod(0o700)
    return folder


def as_user(*argv: str) -> int:
    """The exit status of a command run as that user."""
    done = subprocess.run(argv, check=False, capture_output=True, user=WHO.uid, group=WHO.gid, extra_groups=[])
    return done.returncode


def test_the_outermost_closed_directory_is_told(secret: Path) -> None:
    assert closed(Path("/usr/bin/env"), WHO) is None
    told = closed(secret / "sub" / "kernel", WHO)
    assert told is not None
    assert secret.is_relative_to(told)  # pytest's own folder above it may be closed as well
    mine = Account("me", os.geteuid(), os.getegid(), frozenset({os.getegid()}))
    assert closed(secret / "sub" / "kernel", mine) is None


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "may"),
    [
        (0o711, 0, 0, True),
        (0o710, 0, 0, False),
        (0o710, 0, WHO.gid, True),
        (0o701, 0, WHO.gid, False),
        (0o100, WHO.uid, 0, True),
        (0o077, WHO.uid, WHO.gid, False),
    ],
)
def test_modes_are_read_as_the_kernel_reads_them(mode: int, uid: int, gid: int, *, may: bool) -> None:
    about = os.stat_result((stat.S_IFDIR | mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))
    assert confined._may(about, WHO, stat.S_IXUSR) is may


@needs_root
def test_a_socket_that_is_made_on_the_way_is_there_for_everybody(secret: Path) -> None:
    """libvirt makes it, in the thread that starts QEMU, which has a folder of its own beside it."""
    sockets = secret / "s"
    (sockets / "q").mkdir(parents=True)
    sockets.chmod(0o700)
    needs = Needs(folders=(sockets / "q",), shared=(sockets,))
    hand_over(WHO, needs)
    apart(WHO, needs, (sockets / "ready").touch)
    assert (sockets / "ready").exists()
    assert apart(WHO, needs, lambda: as_user("touch", str(sockets / "q" / "link"))) == 0
    assert as_user("ls", str(sockets)) != 0


@needs_root
def test_what_is_needed_can_be_got_at_and_nothing_else(secret: Path) -> None:
    inside = secret / "sub"
    needs = Needs((inside / "kernel",), (inside / "console",), (inside / "work",))
    hand_over(WHO, needs)

    def tried() -> list[int]:
        commands: Sequence[tuple[str, ...]] = (
            ("cat", str(inside / "kernel")),
            ("dd", "if=/dev/zero", f"of={inside / 'console'}", "bs=1", "count=3"),
            ("touch", str(inside / "work" / "socket")),
            ("cat", str(inside / "other")),
            ("dd", "if=/dev/zero", f"of={inside / 'kernel'}", "bs=1", "count=3"),
            ("rm", str(inside / "console")),
        )
        return [as_user(*argv) for argv in commands]

    without = tried()
    assert all(without), without
    within = apart(WHO, needs, tried)
    assert [status == 0 for status in within] == [True, True, True, False, False, False]
    assert apart(WHO, needs, lambda: sorted(os.listdir(inside))) == ["console", "kernel", "work"]
    assert (inside / "console").read_bytes() == b"\0\0\0"
    assert (inside / "work" / "socket").stat().st_uid == WHO.uid
    assert (inside / "kernel").read_text() == "kernel"
    assert sorted(path.name for path in inside.iterdir()) == [
        "console",
        "kernel",
        "other",
        "work",
    ]  # nothing is covered
    assert "tmpfs" not in [
        line.split()[2] for line in Path("/proc/mounts").read_text().splitlines() if str(secret) in line
    ]


@needs_root
def test_devices_that_only_root_may_open_are_given_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o755)
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o600, os.stat("/dev/null").st_rdev)
    except PermissionError:
        pytest.skip("no device node can be made here")
    monkeypatch.setattr(confined, "DEVICES", (device, tmp_path / "none"))
    needs = Needs((device,))
    assert as_user("dd", "if=/dev/null", f"of={device}") != 0
    assert apart(WHO, needs, lambda: as_user("sh", "-c", f"echo > {device}")) == 0
    assert stat.S_IMODE(device.stat().st_mode) == 0o600
    assert device.stat().st_uid == 0


@needs_root
def test_what_was_written_is_ours_again(secret: Path) -> None:
    needs = Needs((), (secret / "new", secret / "memory.ram"))
    hand_over(WHO, needs)
    assert {path.stat().st_uid for path in needs.writes} == {WHO.uid}
    assert {stat.S_IMODE(path.stat().st_mode) for path in needs.writes} == {0o600}
    before = (secret / "memory.ram").stat()
    hand_over(WHO, needs)
    assert (secret / "memory.ram").stat() == before  # or the saved state would be hashed for every guest
    take_back(needs)
    assert ((secret / "new").stat().st_uid, (secret / "memory.ram").stat().st_uid) == (0, WHO.uid)


@needs_root
def test_a_link_in_place_of_a_capture_is_refused(secret: Path) -> None:
    """A QEMU that was taken over could have put it there for the lab to follow."""
    (secret / "target").write_text("mine")
    (secret / "link").symlink_to(secret / "target")
    with pytest.raises(HostTrouble, match="cannot be given to nobody"):
        hand_over(WHO, Needs((), (secret / "link",)))
    assert (secret / "target").stat().st_uid == 0


@needs_root
def test_libvirt_gets_at_the_cache_it_shares_with_other_drivers(
    secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks QEMU about itself when the first guest starts, and keeps the answer below root's own directories."""
    root, shared = tmp_path / "h", secret / "sub" / "work"
    root.mkdir()
    (secret / "libvirt").symlink_to(shared)  # a cache that is kept elsewhere
    monkeypatch.setenv("LAB_CACHE", str(secret))
    _share_cache(root)
    apart(WHO, Needs(folders=_own_folders(root)), (root / "cache" / "qemu").mkdir)
    assert (shared / "qemu").is_dir()


@needs_root
def test_what_goes_wrong_in_the_thread_is_raised_here() -> None:
    def fail() -> None:
        raise ValueError("in there")

    with pytest.raises(ValueError, match="in there"):
        apart(WHO, Needs(), fail)


def test_an_ordinary_user_and_a_host_without_that_user_run_qemu_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confined, "USER", "no-such-user")
    account.cache_clear()
    try:
        who, why = account()
        assert who is None
        assert ("no-such-user" in why) is (os.geteuid() == 0)
        (tmp_path / "h").mkdir()
        text = _configuration(tmp_path / "h")
        assert ('user = "+0"' in text) is (os.geteuid() == 0)
        assert 'stdio_handler = "file"' in text
    finally:
        account.cache_clear()
