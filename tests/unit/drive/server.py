# SPDX-License-Identifier: GPL-2.0-only
"""A real SSH server on 127.0.0.1, in this process, that runs commands with /bin/sh as a guest's does."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from lab.contracts import Address

GONE = (OSError, EOFError, paramiko.SSHException)


def new_key(path: Path) -> paramiko.Ed25519Key:
    """Make a key and keep it in `path`, as ssh-keygen would."""
    data = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    path.write_bytes(data)
    return paramiko.Ed25519Key.from_private_key_file(str(path))


class _Door(paramiko.ServerInterface):
    """Lets in whoever has the one key, and runs what they ask for."""

    def __init__(self, allowed: paramiko.PKey) -> None:
        self.allowed = allowed

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        good = username == "root" and key == self.allowed
        return paramiko.common.AUTH_SUCCESSFUL if good else paramiko.common.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.common.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        threading.Thread(target=_serve, args=(channel, command.decode()), daemon=True).start()
        return True


def _serve(channel: paramiko.Channel, command: str) -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(["/bin/sh", "-c", command], stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0) as process:
        threading.Thread(target=_feed, args=(channel, process), daemon=True).start()
        out = threading.Thread(target=_pump, args=(process.stdout, channel.sendall), daemon=True)
        err = threading.Thread(target=_pump, args=(process.stderr, channel.sendall_stderr), daemon=True)
        for pump in (out, err):
            pump.start()
        for pump in (out, err):
            pump.join()
    with contextlib.suppress(*GONE):
        channel.send_exit_status(process.returncode & 0xFF)
        channel.close()


def _pump(source: object, send: object) -> None:
    with contextlib.suppress(*GONE):
        while data := source.read(4096):  # type: ignore[attr-defined]
            send(data)  # type: ignore[operator]


def _feed(channel: paramiko.Channel, process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with contextlib.suppress(*GONE), process.stdin:
        while data := channel.recv(4096):
            process.stdin.write(data)
    if channel.closed:  # the connection went, as when a guest dies: so do its programs
        process.kill()


@dataclass
class SshServer:
    """Where it listens, the line a guest would say about its host key, and the connections it serves."""

    address: Address
    hostkey: str
    transports: list[paramiko.Transport] = field(default_factory=list)

    def vanish(self) -> None:
        """Cut every connection, as a guest's death does."""
        for transport in self.transports:
            transport.close()


def _accept(listener: socket.socket, server: SshServer, host_key: paramiko.PKey, user_key: paramiko.PKey) -> None:
    with contextlib.suppress(OSError):
        while True:
            peer, _ = listener.accept()
            transport = paramiko.Transport(peer)
            transport.add_server_key(host_key)
            server.transports.append(transport)
            with contextlib.suppress(*GONE):
                transport.start_server(event=threading.Event(), server=_Door(user_key))


@contextlib.contextmanager
def ssh_server(folder: Path) -> Iterator[SshServer]:
    """Serve until the block ends."""
    host_key, user_key = new_key(folder / "host"), new_key(folder / "user")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address("127.0.0.1", listener.getsockname()[1], folder / "user")
        server = SshServer(address, f"{host_key.get_name()} {host_key.get_base64()} guest")
        threading.Thread(target=_accept, args=(listener, server, host_key, user_key), daemon=True).start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            server.vanish()
