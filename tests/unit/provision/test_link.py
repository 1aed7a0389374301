# SPDX-License-Identifier: GPL-2.0-only
"""Whether somebody listens on a socket, asked of a real kernel."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from lab.errors import HostTrouble
from lab.provision.link import await_listener, is_listening


def listens(path: Path) -> bool:
    return is_listening(Path("/proc/net/unix").read_text(), path)


def test_bound_is_not_listening(tmp_path: Path) -> None:
    path = tmp_path / "l"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert path.exists()
        assert not listens(path)
        server.listen()
        assert listens(path)
        assert not listens(tmp_path / "other")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            assert listens(path)
    assert not listens(path)


def test_the_wait_ends_when_the_listener_is_there(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "l"))
        thread = threading.Timer(0.05, server.listen)
        thread.start()
        await_listener(tmp_path / "l", threading.Event())
        thread.join()
        assert listens(tmp_path / "l")


def test_nobody_waits_for_a_listener_that_failed(tmp_path: Path) -> None:
    given_up = threading.Event()
    given_up.set()
    with pytest.raises(HostTrouble, match="gave up waiting"):
        await_listener(tmp_path / "l", given_up)
