# SPDX-License-Identifier: GPL-2.0-only
"""Hosts of our own: a network namespace each, with an SSH server, a cache and a forced command. They need root.

Addresses are of 198.18.0.0/15, which is for tests (RFC 2544), and lead nowhere but into the namespaces.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from lab.host.paths import project_root
from lab.units import Deadline, wait_until

SSHD = "/usr/sbin/sshd"
LEASE = 20
"""Seconds after which either end gives the other up; short, as somebody waits for it."""
ENDED = timedelta(seconds=LEASE + 60)
"""In which guests end that nobody waits for any more: a run that is interrupted puts its evidence away."""

CONFIG = """\
ListenAddress {address}:22
HostKey {folder}/hostkey
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin forced-commands-only
AllowAgentForwarding no
AllowTcpForwarding no
ClientAliveInterval 5
ClientAliveCountMax 2
"""


@functools.cache
def cannot() -> str:
    """Why there can be no such hosts here; "" when there can."""
    if os.geteuid() != 0:
        return "network namespaces of our own need root"
    lacking = [tool for tool in (SSHD, "ip", "ssh", "ssh-keygen", "parallel") if shutil.which(tool) is None]
    if lacking:
        return f"not installed: {', '.join(lacking)} (lab setup --fleet --sshd)"
    name = f"lf{secrets.token_hex(4)}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    return f"no network namespace can be made: {tried.stderr.strip()}" if tried.returncode else ""


@dataclass
class Host:
    """One of them."""

    name: str
    number: int
    folder: Path
    namespace: str
    server: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"198.18.{self.number}.2"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    def inside(self, *argv: str) -> list[str]:
        return ["ip", "netns", "exec", self.namespace, *argv]

    def link(self, state: str) -> None:
        """Pull the cable, or put it in again."""
        check("ip", "link", "set", f"{self.namespace}-o", state)

    def guests(self) -> list[int]:
        """QEMU processes of this host."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if b"qemu-system" in (entry / "cmdline").read_bytes().split(b"\0")[0]:
                    environ = (entry / "environ").read_bytes()
                    argv = (entry / "cmdline").read_bytes()
                    if os.fsencode(self.folder) in environ + argv:
                        found.append(int(entry.name))
        return found

    def await_no_guest(self, limit: timedelta = ENDED) -> None:
        def seen() -> tuple[bool | None, object]:
            left = self.guests()
            return (None if left else True), left

        wait_until(seen, deadline=Deadline.after(f"the guests of {self.name} to end", limit))

    def allow(self, key: str, **more: object) -> None:
        """What the key runs from the next login on: the lab with these variables beside its own."""
        settings = {
            "LAB_CACHE": self.cache,
            "LAB_RUNTIME": _short(self),
            "LAB_LEASE": LEASE,
            "PYTHONPATH": project_root(),
            "HOME": self.folder,
        }
        told = " ".join(f"{name}={value}" for name, value in (settings | more).items())
        command = f"cd {self.folder} && exec env {told} {sys.executable} -P -m lab batch --serve"
        (self.folder / "authorized_keys").write_text(f'restrict,command="{command}" {key}')

    def serve(self) -> None:
        """Start its SSH server."""
        with (self.folder / "sshd.log").open("wb") as log:
            argv = self.inside(SSHD, "-D", "-e", "-f", str(self.folder / "sshd.conf"))
            self.server = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

        def listens() -> tuple[bool | None, object]:
            told = (self.folder / "sshd.log").read_text()
            return (True if "listening on" in told else None), told

        wait_until(listens, deadline=Deadline.after("an SSH server", timedelta(seconds=60)))

    def kill(self) -> None:
        """All of its processes, at once and without a word."""
        told = subprocess.run(["ip", "netns", "pids", self.namespace], capture_output=True, text=True, check=False)
        for pid in told.stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        if self.server is not None:
            self.server.wait()


@dataclass
class Fleet:
    """Hosts, the key that their forced command is for, and the list of them."""

    folder: Path
    hosts: list[Host] = field(default_factory=list)

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def allowed(self) -> str:
        """The public half."""
        return self.key.with_suffix(".pub").read_text()

    @property
    def inventory(self) -> Path:
        return self.folder / "hosts.ini"

    def await_guests(self, least: int = 1) -> None:
        """Until so many hosts have a QEMU at work."""

        def seen() -> tuple[bool | None, object]:
            found = {host.name: host.guests() for host in self.hosts}
            return (True if sum(map(bool, found.values())) >= least else None), found

        wait_until(seen, deadline=Deadline.after(f"guests on {least} hosts", timedelta(minutes=5)))

    def await_no_guest(self, limit: timedelta = ENDED) -> None:
        deadline = Deadline.after("the guests of all hosts to end", limit)
        for host in self.hosts:
            host.await_no_guest(timedelta(seconds=max(deadline.remaining, 0.1)))


def check(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"


@contextlib.contextmanager
def fleet(folder: Path, names: tuple[str, ...] = ("one", "two")) -> Iterator[Fleet]:
    """All of it goes with the block."""
    Path("/run/sshd").mkdir(exist_ok=True)
    made, token = Fleet(folder), secrets.token_hex(2)
    check("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(made.key))
    with contextlib.ExitStack() as stack:
        for number, name in enumerate(names, start=1 + secrets.randbelow(60) * 4):
            host = Host(name, number, folder / name, f"lf{token}{number}")
            made.hosts.append(host)
            stack.callback(_remove, host)
            _make(host, made.allowed)
        known = [f"{h.address} {(h.folder / 'hostkey.pub').read_text()}" for h in made.hosts]
        (folder / "known_hosts").write_text("".join(known))
        made.inventory.write_text(
            "".join(f"{h.name} ansible_host={h.address} lab_pairs=1\n" for h in made.hosts)
            + f"[all:vars]\nansible_user=root\nansible_ssh_private_key_file={made.key}\n"
            + f"ansible_ssh_common_args=-o UserKnownHostsFile={folder}/known_hosts -o GlobalKnownHostsFile=/dev/null\n"
        )
        yield made


def _make(host: Host, key: str) -> None:
    host.cache.mkdir(parents=True)
    check("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(host.folder / "hostkey"))
    host.allow(key)
    (host.folder / "sshd.conf").write_text(CONFIG.format(address=host.address, folder=host.folder))
    check("ip", "netns", "add", host.namespace)
    check(
        *("ip", "link", "add", f"{host.namespace}-o", "type", "veth"),
        *("peer", "name", f"{host.namespace}-i", "netns", host.namespace),
    )
    check("ip", "addr", "add", f"198.18.{host.number}.1/30", "dev", f"{host.namespace}-o")
    host.link("up")
    check(*host.inside("ip", "link", "set", "lo", "up"))
    check(*host.inside("ip", "addr", "add", f"{host.address}/30", "dev", f"{host.namespace}-i"))
    check(*host.inside("ip", "link", "set", f"{host.namespace}-i", "up"))
    host.serve()


def _short(host: Host) -> Path:
    """AF_UNIX paths end at 108 bytes; pytest's folders are long."""
    path = Path("/tmp") / f"lab-{host.namespace}"
    path.mkdir(exist_ok=True)
    return path


def _remove(host: Host) -> None:
    """Every process in the namespace ends with it."""
    host.kill()
    subprocess.run(["ip", "link", "del", f"{host.namespace}-o"], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "del", host.namespace], capture_output=True, check=False)
    shutil.rmtree(_short(host), ignore_errors=True)
