# SPDX-License-Identifier: GPL-2.0-only
"""Mails leave by sendmail -t or by SMTP, and one that nobody took is told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest

from lab.errors import BadInput, HostTrouble
from lab.host import post


def _mail() -> EmailMessage:
    mail = EmailMessage()
    mail["To"], mail["From"], mail["Subject"] = "a@example.org", "lab@example.org", "new fail"
    mail.set_content("what changed\n")
    return mail


def _sendmail(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    program = folder / "sendmail"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(post, "_PLACES", (str(program),))


def test_sendmail_gets_the_whole_mail(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _sendmail(monkeypatch, tmp_path, f'echo "$@" > {tmp_path}/argv; cat > {tmp_path}/mail')
    post.send(_mail())
    assert (tmp_path / "argv").read_text().split() == ["-t", "-i"]
    assert (tmp_path / "mail").read_text().startswith("To: a@example.org\n")


def test_a_sendmail_that_refuses_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _sendmail(monkeypatch, tmp_path, "cat >/dev/null; echo no such user >&2; exit 67")
    with pytest.raises(HostTrouble, match=r"status 67.*no such user"):
        post.send(_mail())


def test_a_host_without_sendmail_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(post, "_PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(HostTrouble, match="no sendmail"):
        post.send(_mail())


@contextmanager
def _server(*answers: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Says one line after the other, and keeps what it is told."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, connection.makefile("rb") as lines:
                for answer in answers:
                    connection.sendall(answer)
                    until = b".\r\n" if answer.startswith(b"354") else b""
                    while line := lines.readline():
                        heard.append(line)
                        if not until or line == until:
                            break

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}", heard
        thread.join(20)


def test_a_server_gets_it_by_smtp() -> None:
    with _server(
        *(b"220 x\r\n", b"250 x\r\n", b"250 x\r\n", b"250 x\r\n", b"354 x\r\n", b"250 x\r\n", b"221 x\r\n")
    ) as it:
        where, heard = it
        post.send(_mail(), where)
    assert b"Subject: new fail\r\n" in heard
    assert b"what changed\r\n" in heard


def test_a_server_that_refuses_is_told() -> None:
    with _server(b"554 go away\r\n") as (where, _), pytest.raises(HostTrouble, match="not sent"):
        post.send(_mail(), where)


@pytest.mark.parametrize("text", ["", ":25", "host:", "host:0", "host:x", "host:99999"])
def test_a_server_is_a_host_and_a_port(text: str) -> None:
    if text == "host:":
        assert post.server(text) == ("host", 25)
        return
    with pytest.raises(BadInput):
        post.server(text)


def test_an_address_is_one() -> None:
    assert not post.address_problem("Somebody <a@example.org>")
    assert all(map(post.address_problem, ("nobody", "a@b\nBcc: c@d", "")))
