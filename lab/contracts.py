# SPDX-License-Identifier: GPL-2.0-only
"""Small values that let the effect rooms meet without importing each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

EMBEDDED = "embed"
"""The `--connect` word for the default connection: no daemon, nothing to configure on the host."""

MANIFEST = "manifest.json"
"""The file that makes a folder a bundle; it is written last."""

HUSK = "pruned.json"
"""What is left of a bundle that was pruned: its rows in the archive."""


@dataclass(frozen=True)
class Address:
    """Where a guest's SSH server answers, and with which key."""

    host: str
    port: int
    key_file: Path


@dataclass(frozen=True)
class BootableKernel:
    """What `lab.kernels` hands to provisioning.

    name      as the user names it, e.g. `6.12.117+deb12-amd64`
    boot      uncompressed ELF `vmlinux` with a PVH note, or a bzImage
    initrd    cpio with our init and the modules the guests need, in load order
    release   `uname -r` of the kernel
    design    row of the designs table it is expected to behave like
    sha256    of `boot`;  config_sha256 of its kernel config ("" when not known);  initrd_sha256 ("" in older plans)
    modules   drivers the guests can count on, loaded or built in; empty when not known (own kernel without modules)
    base, series, fragments   of a kernel the lab built: its source, the key of its patches, its config fragments
    asked     how `lab run --kernel` takes it, where that is not its name
    described what git calls the tree that it was built in, "" for any other
    """

    name: str
    boot: Path
    initrd: Path
    release: str
    design: str
    sha256: str
    config_sha256: str
    modules: tuple[str, ...] = ()
    base: str = ""
    series: str = ""
    fragments: tuple[str, ...] = ()
    initrd_sha256: str = ""
    asked: str = ""
    described: str = ""


@dataclass(frozen=True)
class GuestImage:
    """The read-only userland of the guests, or a layer of programs beside it: an erofs file and its content key."""

    path: Path
    sha256: str
    key: str


@dataclass(frozen=True)
class HostSize:
    """What a host has to give: memory that is available now, in MiB, and CPUs."""

    available_mib: int
    cpus: int


Progress = Callable[[str], None]
"""Told, in a few words, what long work is doing now."""


@dataclass(frozen=True)
class CommandResult:
    """What a command in a guest left: exit status, standard output and standard error."""

    status: int
    stdout: bytes
    stderr: bytes
