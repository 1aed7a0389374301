"""An SSH host key for one guest, made here: under emulation a guest takes a quarter of a second for its own."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

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


def _string(data: bytes) -> bytes:
    """A string of RFC 4251: four bytes of length, then the bytes."""
    return struct.pack(">I", len(data)) + data
