# SPDX-License-Identifier: GPL-2.0-only
"""How QEMU is handed the file that a guest's devices are saved to, by its version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from lab.provision.hypervisor import Hypervisor
from lab.provision.libvirt_api import Connection, Domain
from lab.provision.saved import save, take_in

OLD, NEW = 9_000_002, 9_001_000


class Told(Hypervisor):
    """A QEMU that does all that it is told, and keeps the orders; a descriptor is kept by the file behind it."""

    def __init__(self, version: int) -> None:
        super().__init__(connection=cast(Connection, None), uri="none", versions=(version, 9_000_000))
        self.orders: list[tuple[str, dict[str, Any]]] = []
        self.files: list[str] = []

    def order(self, domain: Domain, command: str, files: Sequence[int] = (), **arguments: Any) -> Any:  # noqa: ANN401
        self.orders.append((command, arguments))
        self.files += [str(Path(f"/proc/self/fd/{fd}").readlink()) for fd in files]
        return {"add-fd": {"fdset-id": 3, "fd": 20}, "query-migrate": {"status": "completed"}}.get(command)

    def resume(self, domain: Domain) -> None:
        self.orders.append(("resume", {}))


@pytest.mark.parametrize(
    ("version", "handed", "uri"),
    [
        (7_002_022, ("getfd", {"fdname": "state"}), "fd:state"),
        (OLD, ("getfd", {"fdname": "state"}), "fd:state"),
        (NEW, ("add-fd", {}), "file:/dev/fdset/3"),
        (11_001_000, ("add-fd", {}), "file:/dev/fdset/3"),
    ],
)
def test_a_newer_qemu_is_handed_a_file_as_a_file(
    version: int, handed: tuple[str, dict[str, str]], uri: str, tmp_path: Path
) -> None:
    none, state = cast(Domain, None), tmp_path / "receiver.state"
    saving, restoring = Told(version), Told(version)
    save(saving, none, state)
    take_in(restoring, none, state)
    assert saving.orders[1:3] == [handed, ("migrate", {"uri": uri})]
    assert restoring.orders[1:3] == [handed, ("migrate-incoming", {"uri": uri})]
    assert restoring.orders[-1] == ("resume", {})
    assert saving.files == restoring.files == [str(state)]
