"""The key that opens the guests: one per cache, made once, never in the repository."""

from __future__ import annotations

from pathlib import Path

from lab.commands import run
from lab.contracts import Progress
from lab.filecache import ensure_sealed
from lab.paths import cache_root


def ensure_ssh_key(progress: Progress) -> Path:
    """The private key; its public half lies beside it."""

    def make(partial: Path) -> None:
        partial.chmod(0o700)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(partial / "id_ed25519")])

    return ensure_sealed(ssh_key().parent, make, progress=progress) / ssh_key().name


def ssh_key() -> Path:
    """Where the private key lies, once made."""
    return cache_root() / "ssh" / "id_ed25519"
