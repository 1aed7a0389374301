# SPDX-License-Identifier: GPL-2.0-only
"""A libvirt connection with its event loop; by default the QEMU driver inside our own process."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

# libvirt reads this when it is imported. Its errors reach us as exceptions; on the terminal they would only repeat.
os.environ.setdefault("LIBVIRT_LOG_OUTPUTS", "4:file:/dev/null")

import libvirt
import libvirt_qemu

from lab.contracts import EMBEDDED
from lab.errors import HostTrouble
from lab.host.paths import cache_root
from lab.plan.nics import NEWER, dotted, libvirt_too_old
from lab.provision.confined import Account, Needs, account, apart, hand_over
from lab.provision.libvirt_api import Connection, Domain
from lab.provision.qemu import machine_type

# Without this the driver starts a virtlogd that outlives us by minutes.
EMBEDDED_CONF = """\
stdio_handler = "file"
"""

# A driver run by root would otherwise chown, label and confine what it starts. QEMU's seccomp sandbox stays on.
EMBEDDED_ROOT_CONF = f"""\
{EMBEDDED_CONF}user = "+{{uid}}"
group = "+{{gid}}"
security_driver = "none"
dynamic_ownership = 0
remember_owner = 0
cgroup_controllers = []
namespaces = []
"""

GUEST_OOM_SCORE = 500
"""oom_score_adj of what this process starts: when the host runs out of memory, a guest goes before the lab."""


@dataclass(frozen=True)
class Death:
    """How a domain ended, in libvirt's words."""

    cause: str
    by_itself: bool

    def __str__(self) -> str:
        return self.cause


_STOPPED = {
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: Death("powered off, or rebooted after a panic", by_itself=True),
    libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED: Death("destroyed through libvirt", by_itself=False),
    libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED: Death("crashed", by_itself=True),
    libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED: Death("its QEMU process ended from outside", by_itself=False),
}


@dataclass
class Hypervisor:
    """An open connection. `on_death` listeners are called from libvirt's event thread.

    account  whom guests run as, where that is not the user of this process;  root  where an embedded driver lives
    versions of QEMU and of libvirt as libvirt numbers them, read once: it may ask QEMU anew whenever it is asked, and
    fails where that QEMU is killed
    machine  the type of machine that guests are
    """

    connection: Connection
    uri: str
    account: Account | None = None
    root: Path | None = None
    versions: tuple[int, int] = (0, 0)
    machine: str = "q35"
    _listeners: dict[str, Callable[[Death], None]] = field(default_factory=dict)

    @property
    def qemu(self) -> tuple[int, int, int]:
        """Version of QEMU, that can be compared."""
        return _numbers(self.versions[0])

    @property
    def qemu_version(self) -> str:
        return dotted(self.qemu)

    @property
    def libvirt_version(self) -> str:
        return dotted(_numbers(self.versions[1]))

    def create(
        self, name: str, xml: str, on_death: Callable[[Death], None], needs: Needs, *, paused: bool = False
    ) -> Domain:
        """Start a transient domain. Raises HostTrouble with libvirt's words."""
        self._listeners[name] = on_death
        try:
            flags = libvirt.VIR_DOMAIN_START_PAUSED if paused else 0
            return self._beside(needs, lambda: self.connection.createXML(xml, flags))
        except (libvirt.libvirtError, OSError) as exc:
            del self._listeners[name]
            raise HostTrouble(f"libvirt cannot start {name}: {exc}", hint="lab doctor") from exc

    def _beside(self, needs: Needs, start: Callable[[], Domain]) -> Domain:
        """`start` where what it starts can get at what it needs, whoever that runs as."""
        if self.account is None or self.root is None:
            return start()
        hand_over(self.account, needs)
        return apart(self.account, replace(needs, folders=(*needs.folders, *_own_folders(self.root))), start)

    def destroy(self, name: str, domain: Domain) -> None:
        """End a domain that may have ended already."""
        self._listeners.pop(name, None)
        try:
            domain.destroy()
        except libvirt.libvirtError as exc:
            gone = (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID)
            if exc.get_error_code() not in gone:
                raise HostTrouble(f"libvirt cannot destroy {name}: {exc}") from exc

    def end(self, domain: Domain) -> None:
        """End a domain at once; its listener is told. One that has ended already is no trouble."""
        with contextlib.suppress(libvirt.libvirtError):
            domain.destroy()

    def answers(self, domain: Domain, limit: timedelta) -> bool:
        """Whether its QEMU says, within the limit, that it runs the guest."""
        return "running" in self.status(domain, limit)

    def status(self, domain: Domain, limit: timedelta) -> str:
        """What its QEMU says of it, within the limit; "" for nothing. libvirt itself would wait for ever."""
        told: list[str] = []
        answered = threading.Event()

        def ask() -> None:
            with contextlib.suppress(libvirt.libvirtError):
                told.append(self.monitor(domain, "info status"))
            answered.set()

        threading.Thread(target=ask, name="monitor", daemon=True).start()
        answered.wait(limit.total_seconds())
        return "".join(told)

    def monitor(self, domain: Domain, command: str) -> str:
        """Answer of QEMU's human monitor."""
        flag = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
        return str(libvirt_qemu.qemuMonitorCommand(domain, command, flag))

    def order(self, domain: Domain, command: str, files: Sequence[int] = (), **arguments: Any) -> Any:  # noqa: ANN401
        """What QEMU returns to a command of its machine protocol. Raises HostTrouble with its words."""
        text = json.dumps({"execute": command, "arguments": arguments})
        try:
            if files:
                told, _ = libvirt_qemu.qemuMonitorCommandWithFiles(domain, text, list(files), 0)
            else:
                told = libvirt_qemu.qemuMonitorCommand(domain, text, 0)
        except libvirt.libvirtError as exc:
            raise HostTrouble(f"QEMU does not take {command}: {exc}") from exc
        answer = json.loads(told)
        if "error" in answer:
            raise HostTrouble(f"QEMU refuses {command}: {answer['error'].get('desc')}")
        return answer.get("return")

    def suspend(self, domain: Domain) -> None:
        """Stop a guest's vCPUs. Raises HostTrouble."""
        self._asked("suspend", domain.suspend)

    def resume(self, domain: Domain) -> None:
        """Let a paused guest run. Raises HostTrouble."""
        self._asked("resume", domain.resume)

    def _asked(self, what: str, call: Callable[[], object]) -> None:
        try:
            call()
        except libvirt.libvirtError as exc:
            raise HostTrouble(f"libvirt cannot {what} a guest: {exc}") from exc

    def dispatch(self, _conn: Connection, domain: Domain, event: int, detail: int, _opaque: object) -> None:
        """libvirt's lifecycle callback."""
        if event == libvirt.VIR_DOMAIN_EVENT_CRASHED:
            death = Death("crashed: the guest's panic device spoke", by_itself=True)
        elif event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
            death = _STOPPED.get(detail, Death(f"stopped, detail {detail}", by_itself=False))
        else:
            return
        listener = self._listeners.get(domain.name())
        if listener is not None:
            listener(death)


_loop_lock = threading.Lock()
_loop: list[threading.Thread] = []


def _run_loop() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


def _ensure_event_loop() -> None:
    """libvirt wants its loop registered before the first connection, once a process, and run for ever."""
    with _loop_lock:
        if _loop:
            return
        libvirt.registerErrorHandler(lambda _ctx, _err: None, None)  # errors are raised; libvirt prints them as well
        libvirt.virEventRegisterDefaultImpl()
        thread = threading.Thread(target=_run_loop, name="libvirt-events", daemon=True)
        thread.start()
        _loop.append(thread)


def _share_cache(root: Path) -> None:
    """What libvirt asks QEMU about itself is asked once, not by each driver: it took 1.6 s, 8 s without a reaper.

    libvirt itself asks again when QEMU, libvirt or the host have changed, and replaces its files whole.
    """
    shared = cache_root() / "libvirt"
    shared.mkdir(parents=True, exist_ok=True)
    shared = shared.resolve()  # a link on the way there need not be seen where QEMU is started
    if os.access(shared, os.W_OK) and not (root / "cache").exists():
        (root / "cache").symlink_to(shared)


def _own_folders(root: Path) -> tuple[Path, ...]:
    """Where the embedded driver itself works. It asks QEMU about itself when the first guest starts, if not before."""
    cache = root / "cache"
    return (root, cache.resolve()) if cache.is_symlink() else (root,)


def _embedded_uri(root: Path) -> str:
    (root / "etc").mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # a cache that cannot be written costs time only
        _share_cache(root)
    (root / "etc" / "qemu.conf").write_text(_configuration(root))
    return f"qemu:///embed?root={root}"


def _configuration(root: Path) -> str:
    if os.geteuid():
        return EMBEDDED_CONF
    who, _ = account()
    if who is not None:
        for folder in (root.parent, root):  # QEMU's sockets are in there; what nobody shall read has a mode of its own
            folder.chmod(stat.S_IMODE(folder.stat().st_mode) | 0o011)
    return EMBEDDED_ROOT_CONF.format(uid=who.uid if who else 0, gid=who.gid if who else 0)


def _raise_oom_score() -> None:
    with contextlib.suppress(OSError):  # a container may forbid even raising it; then guests compete as equals
        Path("/proc/self/oom_score_adj").write_text(str(GUEST_OOM_SCORE))


def require_libvirt(*daemons: int) -> None:
    """Raises HostTrouble where our own libvirt, or a daemon's by its version, is too old for the lab."""
    for number in (int(libvirt.getVersion()), *daemons):
        if problem := libvirt_too_old(number):
            raise HostTrouble(problem, hint=f"a newer libvirt: {NEWER}")


def _versions(connection: Connection) -> tuple[int, int]:
    """Of QEMU and of libvirt. Raises HostTrouble."""
    try:
        return int(connection.getVersion()), int(connection.getLibVersion())
    except libvirt.libvirtError as exc:
        raise HostTrouble(f"libvirt cannot tell the version of QEMU: {exc}", hint="lab doctor") from exc


def _numbers(number: int) -> tuple[int, int, int]:
    """7002022, as libvirt writes it, is 7.2.22."""
    return number // 1_000_000, number // 1000 % 1000, number % 1000


@contextlib.contextmanager
def connect(uri: str, root: Path) -> Iterator[Hypervisor]:
    """Open `uri` (or EMBEDDED, with its state under `root`: a short path, AF_UNIX sockets end at 108 bytes).

    Raises HostTrouble when the connection cannot be opened.
    """
    _ensure_event_loop()
    _raise_oom_score()
    full = _embedded_uri(root) if uri == EMBEDDED else uri
    who = account()[0] if uri == EMBEDDED else None
    try:
        # libvirt asks QEMU, as that user, what it can: with /dev/kvm open to it as it will be
        connection: Connection = (
            apart(who, Needs(folders=_own_folders(root)), lambda: libvirt.open(full)) if who else libvirt.open(full)
        )
    except (libvirt.libvirtError, OSError) as exc:
        raise HostTrouble(f"libvirt cannot open {full}: {exc}", hint="lab doctor, or another --connect URI") from exc
    try:
        versions = _versions(connection)
        require_libvirt(versions[1])
        hypervisor = Hypervisor(connection, full, who, root if uri == EMBEDDED else None, versions, machine_type())
        key = connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, hypervisor.dispatch, None)
        yield hypervisor
        connection.domainEventDeregisterAny(key)
    finally:
        connection.close()
