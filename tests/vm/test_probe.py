# SPDX-License-Identifier: GPL-2.0-only
"""What real guests, and this host's own /dev/kvm, show of an accelerator.

A process can have one embedded driver: each test has a process of its own.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import pytest

from lab.cli.guests import prepared, private_hypervisor
from lab.kernels import cpio
from lab.provision.accel import TCG_LIMIT, Proof, Tried, boots, kvm_device_problem, prove, remembered
from lab.provision.hypervisor import Hypervisor
from lab.provision.pair import PairRequest
from lab.session.prepare import probe_request

T = TypeVar("T")
Try = Callable[[Hypervisor, PairRequest], T]


def elsewhere(what: Try[T]) -> T:
    """What comes of it in another process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_tried, what).result()


def _tried(what: Try[T]) -> T:
    kernel, image = prepared("6.12", print)
    with private_hypervisor() as (hypervisor, folder):
        return what(hypervisor, probe_request(kernel, image, folder, folder))


def proved_twice(hypervisor: Hypervisor, request: PairRequest) -> tuple[Proof, Proof | None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_CACHE", str(request.sockets.parent / "cache"))
        return prove(hypervisor, request), remembered(request.kernel)


@pytest.mark.skipif(bool(kvm_device_problem()), reason=kvm_device_problem())
def test_what_this_hosts_kvm_says_is_remembered() -> None:
    """A refusal on some hosts, a guest that boots on others; it is QEMU that is quoted. Where a guest is silent until
    its deadline, KVM has said nothing, and is tried once more next time."""
    proof, known = elsewhere(proved_twice)
    silent = "did not boot under KVM this time" in proof.reason and "the ready line" in proof.reason
    assert proof.accelerator == "kvm" or silent or "qemu-system-x86_64" in proof.reason
    assert known == (None if silent else proof)


def in_a_hurry(hypervisor: Hypervisor, request: PairRequest) -> list[Tried]:
    return [boots(hypervisor, request, accelerator="tcg", limit=s) for s in (timedelta(seconds=0.2), TCG_LIMIT)]


def test_a_deadline_is_no_refusal() -> None:
    late, well = elsewhere(in_a_hurry)
    assert "the ready line" in late.problem
    assert not late.refused
    assert well == Tried()


def without_init(hypervisor: Hypervisor, request: PairRequest) -> Tried:
    broken = request.sockets.parent / "initrd"
    broken.write_bytes(cpio.newc([cpio.directory("dev"), cpio.char_device("dev/console", 5, 1)]))
    kernel = replace(request.kernel, initrd=broken, initrd_sha256="")
    return boots(hypervisor, replace(request, kernel=kernel), accelerator="tcg", limit=TCG_LIMIT)


def test_a_kernel_that_dies_is_no_refusal_and_its_last_words_are_told() -> None:
    tried = elsewhere(without_init)
    assert "is gone: " in tried.problem
    assert not tried.refused
    assert "Kernel panic" in tried.splat
