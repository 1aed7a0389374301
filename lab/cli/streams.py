# SPDX-License-Identifier: GPL-2.0-only
"""Standard streams that are closed, or lose their reader: the work goes on, and the exit status stays its own.

`lab run | head -1` and `lab run >&-` come to a verdict as any other; what nobody reads is dropped.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

NOBODY_READS = (errno.EPIPE, errno.EIO)
"""The reader of a pipe is gone; the terminal is gone."""


class Lasting(io.FileIO):
    """A standard stream of ours; leads nowhere from the moment on when nobody reads it.

    Standard error does so for any reason: there is no place left to tell it.
    """

    def write(self, data: Buffer) -> int:
        try:
            return super().write(data)
        except OSError as exc:
            if exc.errno not in NOBODY_READS and self.fileno() != 2:
                raise
        _lead_nowhere(self.fileno())
        return memoryview(data).nbytes


def _lead_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def make_lasting() -> None:
    """Standard output and standard error of this process. A closed one is opened: no other file may get its number."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            _lead_nowhere(descriptor)
    if sys.stdout is sys.__stdout__:  # nobody has put another one in its place
        sys.stdout = _lasting(sys.stdout, 1)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _lasting(sys.stderr, 2)


def _lasting(stream: TextIO | None, descriptor: int) -> TextIO:
    if stream is not None:
        with contextlib.suppress(OSError):
            stream.flush()
    tells = stream if isinstance(stream, io.TextIOWrapper) else None
    return io.TextIOWrapper(
        io.BufferedWriter(Lasting(descriptor, "w", closefd=False)),
        encoding=tells.encoding if tells else "utf-8",
        errors=tells.errors if tells else "replace",
        line_buffering=descriptor == 2 or (tells.line_buffering if tells else False),
        write_through=tells.write_through if tells else False,
    )


def flushed() -> str:
    """Write out what is left; why that failed, "" when it did not."""
    try:
        sys.stdout.flush()
    except OSError as exc:
        _lead_nowhere(1)  # the interpreter tries again when it ends
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        return f"cannot write to standard output: {exc.strerror}"
    return ""
