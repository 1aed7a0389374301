# SPDX-License-Identifier: GPL-2.0-only
"""QEMU with the first-level guest: emulated, one vCPU with SVM, a clock that counts instructions."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from lab.host.paths import cache_root, project_root
from lab.provision.pair import emulator
from tests.kvm.image import FirstLevel

MEMORY_MIB = 5120
QEMU_LOG = "qemu.log"
STOP_LIMIT = 20  # seconds that QEMU has to end on SIGTERM

# Without XSAVE and what needs it: KVM would keep more of a guest's state than QEMU's SVM saves and restores.
CPU = "EPYC,-xsave,-xsaveopt,-xsavec,-xgetbv1,-xsaves,-avx,-avx2,-f16c,-fma,+svm,+npt,+vgif,+v-vmsave-vmload"

# 2 ns an instruction, whatever the host is busy with: seconds in the guest are work done, so deadlines hold. Idle time
# passes as the host's does.
CLOCK = "shift=1,sleep=on"

LAYERS = ("images", "layers", "kernels", "initrds", "programs", "bases")
"""Parts of the cache that are shared. States and what was learnt are of the host that made them."""


def shares() -> dict[str, tuple[Path, str]]:
    """Tag, folder of the host, place in the guest. apt's lists too: the catalogue of kernels is then the host's."""
    return {
        "checkout": (project_root(), "/srv/checkout"),
        "lists": (Path("/var/lib/apt/lists"), "/var/lib/apt/lists"),
        "sources": (Path("/etc/apt/sources.list.d"), "/etc/apt/sources.list.d"),
        **{part: (cache_root() / part, f"/srv/cache/{part}") for part in LAYERS},
    }


def argv(first: FirstLevel, out: Path) -> list[str]:
    """QEMU's command line. What is written to the disk is dropped (`snapshot`); `out` alone may be written to."""
    words = " ".join(
        [
            "console=ttyS0 loglevel=5 panic=-1 oops=panic mitigations=off nokaslr tsc=reliable cryptomgr.notests=1",
            "root=/dev/vda rw init=/sbin/lab-first-level",
            f"lab.shares={','.join(f'{tag}:{place}' for tag, (_, place) in shares().items())}",
            f"lab.layers={','.join(LAYERS)}",
        ]
    )
    line = [emulator(), "-machine", "q35", "-accel", "tcg,thread=single,tb-size=1024", "-icount", CLOCK, "-cpu", CPU]
    line += ["-m", f"{MEMORY_MIB}M", "-smp", "1", "-nodefaults", "-no-reboot", "-display", "none"]
    line += ["-kernel", str(first.kernel), "-initrd", str(first.initrd), "-append", words]
    line += ["-drive", f"file={first.disk},if=virtio,format=raw,snapshot=on", "-device", "virtio-rng-pci"]
    line += ["-serial", f"file:{out / 'console'}"]
    for tag, (folder, _) in shares().items():
        line += _share(tag, folder, ",readonly=on")
    return [*line, *_share("out", out / "from-guest", "")]


def _share(tag: str, folder: Path, options: str) -> list[str]:
    device = f"virtio-9p-pci,fsdev=fs-{tag},mount_tag={tag}"
    return ["-fsdev", f"local,id=fs-{tag},path={folder},security_model=none{options}", "-device", device]


@contextlib.contextmanager
def running(first: FirstLevel, out: Path) -> Iterator[subprocess.Popen[bytes]]:
    """QEMU for the length of the block. It ends with this process however that ends, by setpriv's --pdeathsig."""
    with (out / QEMU_LOG).open("wb") as said:
        line = ["setpriv", "--pdeathsig", "KILL", "--", *argv(first, out)]
        process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
