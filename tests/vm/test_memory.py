# SPDX-License-Identifier: GPL-2.0-only
"""What QEMU says where it may not keep a guest's memory in a file: other hosts have SELinux, this one has modes."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from lab.provision.pair import emulator
from lab.provision.saved import memory_refused

NOBODY = 65534


def said(mem_path: Path, user: int) -> str:
    backend = f"memory-backend-file,id=ram,size=16M,mem-path={mem_path},share=on"
    argv = [emulator(), "-machine", "none", "-display", "none", "-S", "-monitor", "stdio", "-object", backend]
    done = subprocess.run(argv, user=user, input="quit\n", capture_output=True, text=True, timeout=60, check=False)
    return done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_the_words_of_a_qemu_that_may_not_open_a_file_of_memory() -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert memory_refused(said(Path(folder) / "receiver.ram", NOBODY))
        assert not memory_refused(said(Path(folder) / "receiver.ram", 0))
