# SPDX-License-Identifier: GPL-2.0-only
"""What of libvirt's Python binding is used; it has no types of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Domain(Protocol):
    """A running guest, as libvirt knows it. Each call raises libvirtError."""

    def name(self) -> str: ...

    def destroy(self) -> int: ...

    def suspend(self) -> int: ...

    def resume(self) -> int: ...


Lifecycle = Callable[["Connection", Domain, int, int, object], None]
"""Connection, domain, event, detail of the event, and what was given when it was registered."""


class Connection(Protocol):
    """An open connection. Each call raises libvirtError."""

    def getVersion(self) -> int: ...

    def getLibVersion(self) -> int: ...

    def createXML(self, xmlDesc: str, flags: int = 0) -> Domain: ...

    def domainXMLToNative(self, nativeFormat: str, domainXml: str, flags: int = 0) -> str: ...

    def domainEventRegisterAny(
        self,
        dom: Domain | None,
        eventID: int,
        cb: Lifecycle,
        opaque: object,
    ) -> int: ...

    def domainEventDeregisterAny(self, callbackID: int) -> None: ...

    def close(self) -> int: ...
