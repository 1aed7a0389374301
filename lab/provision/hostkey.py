# SPDX-License-Identifier: GPL-2.0-only
"""SSH keys for a pair, made here: a host key for each guest, which under emulation would take a quarter of a second for
its own, and the one key that opens both, which dies with them."""

from __future__ import annotations

import base64
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

KIND = b"ssh-ed25519"


@dataclass(frozen=True)
class HostKey:
    """file as dropbear reads it; public as a line of known_hosts has it after the name."""

    file: bytes
    public: str


def make_hostkey() -> HostKey:
    """A new ed25519 key. The public blob is that of RFC 8709; dropbear's file has kind, private and public key."""
    key = Ed25519PrivateKey.generate()
    private, public = key.private_bytes_raw(), key.public_key().public_bytes_raw()
    file = _string(KIND) + _string(private + public)
    blob = base64.b64encode(_string(KIND) + _string(public)).decode()
    return HostKey(file, f"{KIND.decode()} {blob}")


def make_login_key(path: Path) -> str:
    """A new private key in a file that nobody else may read; the base64 of its public half. Raises OSError."""
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(text)
    return base64.b64encode(_string(KIND) + _string(key.public_key().public_bytes_raw())).decode()


def _string(data: bytes) -> bytes:
    """A string of RFC 4251: four bytes of length, then the bytes."""
    return struct.pack(">I", len(data)) + data
