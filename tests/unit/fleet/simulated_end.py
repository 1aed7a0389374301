# SPDX-License-Identifier: GPL-2.0-only
"""`python -I -S simulated_end.py CONFIG NAME`: a simulated host's end of the wire (tests/unit/fleet/simulated.py).

Hundreds of them are to leave CPUs and memory to the controller. So it imports what is built in and nothing else: to
load the lab's own end takes seven times as long, and JSON alone twice.
"""

from __future__ import annotations

import os
import select
import sys
import time

TYPE_CHECKING = False  # mypy knows this name; typing takes as long as all the rest
if TYPE_CHECKING:
    from typing import Any

SILENT = 15.0
"""Seconds until ssh gives up a host that was cut off (ServerAliveInterval and -CountMax of lab.fleet.inventory)."""
BEAT = 5.0
PIECE = 256 * 1024
CONSTANTS = {"true": True, "false": False, "null": None}


class Gone(Exception):
    """The controller."""


def value(text: str) -> Any:  # noqa: ANN401 - what JSON means
    """What a piece of JSON means, which the lab has made."""
    return eval(text, {"__builtins__": {}}, CONSTANTS)  # noqa: S307


class End:
    """One connection."""

    def __init__(self, config: dict[str, Any], name: str) -> None:
        self.name, self.folder = name, str(config["folder"])
        self.seconds, self.lab_code = config["slow"].get(name, config["seconds"]), config["lab_code"]
        self.beaten = time.monotonic()

    def is_cut_off(self) -> bool:
        return os.path.exists(f"{self.folder}/cut/{self.name}")

    # -- frames, as lab.fleet.wire has them ----------------------------------------------------------------------------

    def send(self, kind: bytes, data: bytes = b"") -> None:
        frame = kind + len(data).to_bytes(4, "big") + data
        try:
            while frame:
                frame = frame[os.write(1, frame) :]
        except OSError as exc:
            raise Gone from exc

    def tell(self, text: str) -> None:
        self.send(b"J", text.encode())

    def comes(self, until: float) -> bool:
        """Whether something is said before that moment; signs of life are sent meanwhile."""
        while True:
            now = time.monotonic()
            if now >= self.beaten + BEAT:
                self.send(b".")
                self.beaten = now
            if select.select([0], [], [], max(0.0, min(until, self.beaten + BEAT) - now))[0]:
                return True
            if time.monotonic() >= until:
                return False

    def hear(self) -> dict[str, Any] | None:
        """The next frame as a message; None for a sign of life."""
        self.comes(float("inf"))
        head = self._exactly(5)
        data = self._exactly(int.from_bytes(head[1:], "big"))
        told: dict[str, Any] | None = value(data.decode()) if head[:1] == b"J" else None
        return told

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = os.read(0, size - len(data))
            if not piece:
                raise Gone
            data += piece
        return data

    # -- what is asked -----------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Answers until the controller goes away."""
        while True:
            try:
                asked = self.hear()
                if asked is not None:
                    self._answer(asked)
            except Gone:
                return

    def _answer(self, asked: dict[str, Any]) -> None:
        if asked["ask"] == "facts":
            facts = f'"pairs": 1, "clock": {time.time()}, "lab_code": "{self.lab_code}", "node": "{self.name}"'
            self.tell(f'{{"facts": {{{facts}}}}}')
        elif asked["ask"] == "lacking":
            self.tell('{"lacking": []}')
        elif asked["ask"] == "batch":
            self._batch(asked["order"].partition('"batch": "')[2].partition('"')[0])
        else:
            self.tell('{"problem": "a simulated host does not know that", "sense": true}')

    def _batch(self, batch: str) -> None:
        self.tell(f'{{"doing": "{batch} as if guests ran"}}')
        told: dict[str, Any] | None = None
        end = time.monotonic() + self.seconds
        while not told and (now := time.monotonic()) < end:
            if self.comes(min(end, now + 0.5)):
                told = self.hear()
            if self.is_cut_off():
                os._exit(_silence())
        self.tell('{"ended": true}')
        while not told or "go on" not in told:
            told = self.hear()
        with open(f"{self.folder}/streams/{batch}", "rb") as stream:
            while piece := stream.read(PIECE):
                self.send(b"D", piece)
        with open(f"{self.folder}/streams/{batch}.sha256") as digest:
            self.tell(f'{{"end": {{"code": 0, "trouble": [], "interrupted": false, "sha256": "{digest.read()}"}}}}')
        self.hear()


def _silence() -> int:
    """What a controller has of a host that was cut off: nothing, then the exit status of ssh."""
    time.sleep(SILENT)
    return 255


def main(path: str, name: str) -> int:
    """Exit status. What it took of the CPU is noted, so that it can be told from what the controller takes."""
    with open(path) as told:
        end = End(value(told.read()), name)
    if end.is_cut_off():
        return 255
    end.serve()
    with open(f"{end.folder}/cpu", "a") as out:
        out.write(f"{time.process_time():.4f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))
