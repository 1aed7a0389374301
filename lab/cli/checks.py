# SPDX-License-Identifier: GPL-2.0-only
"""What `lab doctor` looks at without starting anything. Each check is a small function of what it saw."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lab.contracts import Progress
from lab.errors import BadInput, LabError
from lab.plan.nics import NEWER, NICS
from lab.units import MIB

if TYPE_CHECKING:
    from lab.contracts import HostSize
    from lab.plan.learnt import Rate
    from lab.provision.qemu import Qemu

SETUP = "make setup"
SESSION_DISK_MIB = 2048  # captures and bundles of a large session; a run leaves a few MiB
LEAST_DISK_MIB = 64  # with less not even one run can be kept
CACHE_DISK_MIB = 1024  # guest image, two kernels and what is made of them
BUILD_TOOLS = ("make", "gcc", "ld", "git", "flex", "bison", "bc", "lz4", "xz", "ccache")


@dataclass(frozen=True)
class Check:
    """One thing looked at. `warn`: the lab runs, but slower or with less; `bad`: it does not. `cure` what to do."""

    name: str
    status: Literal["ok", "warn", "bad"]
    seen: str
    cure: str = ""


def static_checks(progress: Progress) -> list[Check]:
    """Everything but booting. A check that fails by itself is told as `bad`, and the others go on."""
    checks: list[Check] = []
    for name, look in _CHECKS:
        progress(f"looking at {name}")
        try:
            checks.append(look())
        except LabError as exc:
            checks.append(Check(name, "bad", exc.message, exc.hint))
    return checks


def check_packages() -> Check:
    from lab.drive.host import lacking

    needs = lacking(["hypervisor"])
    if needs:
        return Check("packages", "bad", f"not installed: {needs}", SETUP)
    return Check("packages", "ok", "all that the lab wants are installed")


def check_qemu() -> Check:
    from lab.provision.qemu import installed_qemu

    return judge_qemu(installed_qemu())


def judge_qemu(qemu: Qemu | None) -> Check:
    from lab.provision.qemu import qemu_too_old

    if qemu is None:
        return Check("QEMU", "bad", "qemu-system-x86_64 is not on PATH", SETUP)
    if problem := qemu_too_old(qemu):
        return Check("QEMU", "bad", problem, f"a newer QEMU: {NEWER}")
    return Check("QEMU", "ok", f"{qemu}")


def check_nics() -> Check:
    from lab.provision.qemu import cannot_run, installed_qemu

    qemu = installed_qemu()
    return judge_nics({nic.name: cannot_run(nic, qemu) for nic in NICS.values() if nic.link != "tap"})


def judge_nics(problems: dict[str, str]) -> Check:
    """From the reason why each profile cannot run, "" where it can."""
    able = [name for name, problem in problems.items() if not problem]
    unable = [f"{name} ({problem})" for name, problem in problems.items() if problem]
    if not able:
        return Check("NIC models", "bad", f"none: {'; '.join(unable)}", SETUP)
    if unable:
        told = f"{', '.join(able)}; not {'; '.join(unable)}"
        return Check("NIC models", "warn", told, "a newer QEMU, e.g. from bookworm-backports")
    return Check("NIC models", "ok", ", ".join(able))


def check_namespaces() -> Check:
    from lab.provision.namespace import can_make_namespace

    problem = can_make_namespace()
    if problem:
        cure = "as root: modprobe tun bridge; chmod 666 /dev/net/tun; sysctl kernel.unprivileged_userns_clone=1"
        return Check("namespaces", "warn", f"profile virtio-tap cannot run: {problem}", cure)
    return Check("namespaces", "ok", "bridge and tap made in a network namespace of our own (profile virtio-tap)")


def check_memory() -> Check:
    from lab.host.size import host_size

    return judge_memory(host_size())


def judge_memory(host: HostSize) -> Check:
    """The arithmetic that bounds `-n auto`, for the largest pair; a case that needs two at once says so itself."""
    from lab.experiments.found import all_cases
    from lab.plan.capacity import arithmetic, largest, pairs_that_fit

    shapes = {case.shape for case in all_cases().values() if case.shape.pairs == 1 and not case.shape.bare}
    try:
        pairs = pairs_that_fit(host, shapes)
    except BadInput as exc:
        return Check("memory and CPUs", "bad", exc.message, "free memory, or a host with more")
    told = f"at most {pairs} {'pair' if pairs == 1 else 'pairs'} at once on {host.cpus} CPUs: "
    return Check("memory and CPUs", "ok", told + arithmetic(host, largest(shapes)))


def check_pairs() -> Check:
    from lab.host.size import host_size
    from lab.session.learnt import load_learnt
    from lab.session.prepare import host_shape

    host = host_size()
    shapes = {accelerator: host_shape(accelerator) for accelerator in ("kvm", "tcg")}
    return judge_pairs({a: load_learnt().rates[s] for a, s in shapes.items() if s in load_learnt().rates}, host)


def judge_pairs(known: Mapping[str, Mapping[int, Sequence[Rate]]], host: HostSize) -> Check:
    """What is known of numbers of pairs at once, by accelerator, and which one `-n auto` takes next."""
    from lab.plan.capacity import PAIRS_PER_CPU
    from lab.plan.pairs import choose, table

    told = [
        f"{accelerator}: -n auto is {choice.pairs}, {choice.why} (work done a second: {table(rates)})"
        for accelerator, rates in known.items()
        for choice in [choose(rates, host.cpus * PAIRS_PER_CPU, host.cpus)]
    ]
    return Check("pairs at once", "ok", "; ".join(told) or choose({}, host.cpus, host.cpus).why)


def check_cache_disk() -> Check:
    from lab.host.paths import cache_root

    return judge_disk("disk for the cache", cache_root(), CACHE_DISK_MIB, "LAB_CACHE")


def check_results_disk() -> Check:
    from lab.host.paths import results_root

    return judge_disk("disk for results", results_root(), SESSION_DISK_MIB, "LAB_RESULTS")


def judge_disk(name: str, folder: Path, wanted_mib: int, variable: str) -> Check:
    """Free space where `folder` is or would be made, and whether this user may write there."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free // MIB
    cure = f"set {variable} to a folder elsewhere"
    if not os.access(there, os.W_OK | os.X_OK):
        return Check(name, "bad", f"this user may not write to {there}", cure)
    told = f"{free} MiB free at {there}, {wanted_mib} MiB wanted"
    if free < LEAST_DISK_MIB:
        return Check(name, "bad", told, f"free some, or {cure}")
    return Check(name, "warn", told, f"free some, or {cure}") if free < wanted_mib else Check(name, "ok", told)


def check_image() -> Check:
    from lab.guestimage import current_image

    image = current_image()
    if image is None:
        return Check("guest image", "bad", "not built for the present recipe", SETUP)
    return Check("guest image", "ok", str(image.path))


def check_kernels() -> Check:
    from lab.kernels.catalogue import catalogue

    known = catalogue()
    return judge_kernels(sum(k.offered for k in known), [k.name for k in known if k.fetched])


def judge_kernels(offered: int, fetched: Sequence[str]) -> Check:
    """Those that are here will do; others can be fetched where the package manager has lists."""
    if not fetched:
        cure = SETUP if offered else "sudo apt-get update, then make setup"
        return Check("kernels", "bad", f"{offered} on offer, none fetched", cure)
    told = f"{offered} on offer, fetched: {', '.join(fetched)}"
    if not offered:
        return Check("kernels", "warn", told, "none needed; sudo apt-get update, for others")
    return Check("kernels", "ok", told)


def check_selinux() -> Check:
    from lab.provision.saved import is_enforcing, memory_cure

    return judge_selinux(memory_cure() if is_enforcing() else "")


def judge_selinux(cure: str) -> Check:
    """The lab runs either way: a pair whose memory may not lie in a file boots each time. `cure`: where it may not."""
    if not cure:
        return Check("SELinux", "ok", "does not keep QEMU from files of ours")
    told = "enforcing: if QEMU may not keep memory in files, pairs are not saved, and each one boots"
    return Check("SELinux", "warn", told, f"where a run's note says so: {cure}")


def check_build_tools() -> Check:
    return judge_build_tools([tool for tool in BUILD_TOOLS if shutil.which(tool) is None])


def judge_build_tools(lacking: list[str]) -> Check:
    """Without them the lab runs, on kernels that are built already; without ccache it builds, but each time anew."""
    if not lacking:
        return Check("build tools", "ok", "all that `lab kernel build` calls are here")
    return Check("build tools", "warn", f"`lab kernel build` lacks {', '.join(lacking)}", SETUP)


def check_reaper() -> Check:
    if shutil.which("tini"):
        return Check("reaper", "ok", "tini")
    return Check("reaper", "warn", "no tini: ending a guest may take 2 s longer where pid 1 is slow", SETUP)


_CHECKS: tuple[tuple[str, Callable[[], Check]], ...] = (
    ("packages", check_packages),
    ("QEMU", check_qemu),
    ("NIC models", check_nics),
    ("namespaces", check_namespaces),
    ("memory and CPUs", check_memory),
    ("pairs at once", check_pairs),
    ("disk for the cache", check_cache_disk),
    ("disk for results", check_results_disk),
    ("guest image", check_image),
    ("kernels", check_kernels),
    ("SELinux", check_selinux),
    ("build tools", check_build_tools),
    ("reaper", check_reaper),
)
