# SPDX-License-Identifier: GPL-2.0-only
"""Command lines of the guest programs, and plans on disk."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import pytest

from lab.contracts import BootableKernel, GuestImage
from lab.errors import BadInput
from lab.kernels.recipes import images
from lab.plan.case import ClientSpec, Group
from lab.plan.commands import cgroup_of, checkpoint_argv
from lab.plan.limits import DEBUG_FRAGMENT, DEBUG_TIMES, Limits
from lab.plan.session import SessionPlan, dump, load
from lab.units import MIB
from suites.rx_zerocopy.traffic import client_argv, sender_argv
from tests.known import CASES, expand

CACHE = Path("/cache")
ALL = [client for case in CASES.values() for client in case.clients]


def option(argv: tuple[str, ...], name: str) -> str:
    return argv[argv.index(name) + 1]


@pytest.mark.parametrize("client", ALL, ids=lambda c: f"{c.behaviour}-{c.name}")
def test_client_and_sender_agree(client: ClientSpec) -> None:
    served, fed = client_argv(client, 5001, 7), sender_argv(client, "198.18.0.1", 5001, 7)
    for name in ("--port", "--sockets", "--bytes"):
        assert option(served, name) == option(fed, name)
    assert option(fed, "--seed") == "7"
    assert ("--verify" in served) is client.verify
    assert ("--repeat" in fed) is not client.verify
    if client.verify:
        assert option(served, "--seed") == option(fed, "--seed")


def test_only_what_was_asked_for_is_said() -> None:
    plain = ClientSpec("abuser", "hold", None, MIB)
    assert not {"--ring", "--rcvbuf", "--verify", "--leave", "--unkillable"} & set(client_argv(plain, 1, 0))
    assert "--rate" not in sender_argv(plain, "h", 1, 0)
    busy = ClientSpec("abuser", "copy", None, MIB, rate=5, ring=6, rcvbuf=7)
    assert option(client_argv(busy, 1, 0), "--ring") == "6"
    assert option(client_argv(busy, 1, 0), "--rcvbuf") == "7"
    assert option(sender_argv(busy, "h", 1, 0), "--rate") == "5"
    assert "--mss" not in sender_argv(busy, "h", 1, 0)
    assert option(sender_argv(busy, "h", 1, 0, 4108), "--mss") == "4108"
    assert option(client_argv(busy, 1, 0), "--cgroup") == cgroup_of("abuser")
    top = Group("top")
    inner = ClientSpec("leaf", "hold", None, MIB, within=Group("mid", within=top), accepts_in=top)
    assert option(client_argv(inner, 1, 0), "--cgroup") == cgroup_of("top/mid/leaf")
    assert option(client_argv(inner, 1, 0), "--accept-in") == cgroup_of("top")
    two = ClientSpec("abuser", "hold", None, MIB, shares_in=top, races_in=top, urgent=7)
    assert (
        option(client_argv(two, 1, 0), "--share-in") == option(client_argv(two, 1, 0), "--race-in") == cgroup_of("top")
    )
    assert option(sender_argv(two, "h", 1, 0), "--urgent") == "7"
    assert "--urgent" not in sender_argv(inner, "h", 1, 0)
    greedy = ClientSpec("abuser", "hold", None, MIB, leave=4096, unkillable=True)
    assert option(client_argv(greedy, 1, 0), "--leave") == "4096"
    assert "--unkillable" in client_argv(greedy, 1, 0)


def test_a_client_moves_into_its_own_cgroup() -> None:
    assert (
        option(client_argv(ALL[0], 1, 0), "--cgroup") == cgroup_of(ALL[0].name) == f"/sys/fs/cgroup/lab/{ALL[0].name}"
    )


def test_a_checkpoint_counts_pages_unless_told_otherwise() -> None:
    assert checkpoint_argv("held")[1:] == ("--once", "held", "--socket", "/run/lab-telemetry", "--pages")
    assert "--pages" not in checkpoint_argv("held", pages=False)


@pytest.fixture
def plan() -> SessionPlan:
    return SessionPlan(
        name="s",
        started="2026-01-01T00:00:00+00:00",
        command="lab run",
        folder=Path("/results/s"),
        sockets=Path("/tmp/x"),
        connect="embed",
        accelerator="tcg",
        pairs=2,
        image=GuestImage(Path("/image"), "0", "k"),
        kernels=(BootableKernel("k", Path("/k"), Path("/i"), "6.12", "stock", "0", "0", ("e1000e",)),),
        runs=expand("s", [("k", "stock")], ["virtio"], ["hold", "release"], 2),
        limits=Limits(boot=timedelta(seconds=1.5)),
    )


def test_a_plan_comes_back_from_disk_as_it_was(plan: SessionPlan) -> None:
    assert load(dump(plan, CACHE), CACHE) == plan
    assert plan.kernel("k").modules == ("e1000e",)


def test_a_plan_names_what_guests_are_made_of_by_key_and_finds_it_in_another_cache(plan: SessionPlan) -> None:
    here = replace(
        plan,
        image=replace(plan.image, path=CACHE / "images" / "i0" / "userland.erofs"),
        kernels=(replace(plan.kernels[0], boot=CACHE / "kernels/k0/boot", initrd=CACHE / "initrds/r0/initrd"),),
        plugin=CACHE / "programs" / "p0" / "lab-insn.so",
        layers=(GuestImage(CACHE / "layers" / "l0" / "layer.erofs", "0", "l0"),),
    )
    record = dump(here, CACHE)
    assert str(CACHE).encode() not in record
    there = load(record, Path("/elsewhere"))
    assert (there.image.path, there.plugin) == (
        Path("/elsewhere/images/i0/userland.erofs"),
        Path("/elsewhere/programs/p0/lab-insn.so"),
    )
    layer = there.layer("l0")
    assert layer is not None
    assert layer.path == Path("/elsewhere/layers/l0/layer.erofs")
    assert there.layer("") is None
    assert there.kernels[0].boot == Path("/elsewhere/kernels/k0/boot")
    assert there.kernels[0].initrd == Path("/elsewhere/initrds/r0/initrd")
    assert load(record, CACHE) == here


def test_a_plan_that_leads_out_of_the_cache_is_refused(plan: SessionPlan) -> None:
    outside = replace(plan, plugin=Path("cache:../../etc/passwd"))
    with pytest.raises(BadInput, match="leads out of the cache"):
        load(dump(outside, CACHE), CACHE)


def test_a_kernel_that_checks_itself_has_more_time_for_everything(plan: SessionPlan) -> None:
    debug = replace(plan.kernels[0], name="k+debug", fragments=("guest.config", DEBUG_FRAGMENT))
    both = replace(plan, kernels=(*plan.kernels, debug))
    assert both.limits_of("k") == plan.limits
    longer = both.limits_of("k+debug")
    assert longer.boot == DEBUG_TIMES * timedelta(seconds=1.5)
    assert all(getattr(longer, f.name) == DEBUG_TIMES * getattr(plan.limits, f.name) for f in fields(Limits))
    assert (images() / "config" / DEBUG_FRAGMENT).is_file()


def test_half_a_plan_is_refused(plan: SessionPlan) -> None:
    with pytest.raises(BadInput, match=r"plan\.json is damaged"):
        load(dump(plan, CACHE)[:-20], CACHE)


def test_a_plan_with_a_flipped_bit_is_refused(plan: SessionPlan) -> None:
    whole = dump(plan, CACHE)
    place = whole.index(b'"tcg"') + 1
    flipped = whole[:place] + b"u" + whole[place + 1 :]  # an accelerator like any other, as far as JSON knows
    with pytest.raises(BadInput, match="not what its digest says"):
        load(flipped, CACHE)
