# SPDX-License-Identifier: GPL-2.0-only
"""What the probe says of a kernel whose vmsplice keeps pages (this host's), and of one whose vmsplice copies them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab.host.paths import project_root

MAIN = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>
const char *probe_vmsplice(void);
ssize_t __real_vmsplice(int fd, const struct iovec *iov, size_t n, unsigned flags);
ssize_t __wrap_vmsplice(int fd, const struct iovec *iov, size_t n, unsigned flags)
{
	return KERNEL;
}
int main(void) { puts(probe_vmsplice()); }
"""


@pytest.mark.parametrize(
    ("kernel", "word"),
    [
        ("__real_vmsplice(fd, iov, n, flags)", "keeps"),
        ("writev(fd, iov, n)", "copies"),
        ("-1", "unknown"),
        ("write(fd, iov->iov_base, 10)", "unknown"),
    ],
)
def test_a_kernel_is_told_by_what_its_pipe_shows(kernel: str, word: str, tmp_path: Path) -> None:
    main = tmp_path / "main.c"
    main.write_text(MAIN.replace("KERNEL", kernel))
    guest = project_root() / "suites" / "rx_zerocopy" / "guest"
    library = project_root() / "images" / "guest" / "lib"
    sources = [str(main), str(guest / "zc-probe.c")]
    argv = [
        "gcc",
        "-Wl,--wrap=vmsplice",
        f"-I{guest}",
        f"-I{library}",
        "-o",
        str(tmp_path / "probe"),
        *sources,
    ]
    subprocess.run(argv, check=True)
    assert subprocess.run([tmp_path / "probe"], check=True, capture_output=True, text=True).stdout == f"{word}\n"
