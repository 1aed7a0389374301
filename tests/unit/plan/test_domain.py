# SPDX-License-Identifier: GPL-2.0-only
"""What libvirt is told about a guest."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree.ElementTree import Element, fromstring

import pytest

from lab.plan.case import STANDARD, Shape
from lab.plan.domain import Engine, GuestFiles, GuestPlan, plan_guest, render
from lab.plan.names import ROLES, Role, mac
from lab.plan.nics import NICS
from suites.rx_zerocopy.case import SMALL

FILES = GuestFiles("/k", "/i", "/image", "/console.log", "/telemetry", "/ready", "/run/l")
QEMU = "{http://libvirt.org/schemas/domain/qemu/1.0}"
ENGINE = Engine("tcg", "/qemu", "pc-q35-7.2")
NASTY = """/a "b" <c> & 'd'"""


def planned(nic: str = "virtio", role: Role = "receiver", *, files: GuestFiles = FILES, kvm: bool = False) -> GuestPlan:
    engine = replace(ENGINE, accelerator="kvm" if kvm else "tcg")
    return plan_guest("0123abcd", role, NICS[nic], SMALL, files, engine)


def parsed(plan: GuestPlan) -> Element:
    return fromstring(render(plan))  # noqa: S314 - our own text


def arguments(root: Element) -> list[str]:
    return [arg.attrib["value"] for arg in root.iter(f"{QEMU}arg")]


def text(root: Element, path: str) -> str:
    found = root.findtext(path)
    assert found is not None, path
    return found


@pytest.mark.parametrize("nic", NICS)
@pytest.mark.parametrize("role", ROLES)
def test_every_slot_of_the_bus_is_used_once(nic: str, role: Role) -> None:
    root = parsed(planned(nic, role))
    slots = [int(a.attrib["slot"], 0) for a in root.iter("address") if a.attrib["type"] == "pci"]
    slots += [int(n) for arg in arguments(root) for n in re.findall(r"bus=pcie\.0,addr=(\d+)", arg)]
    assert len(slots) == len(set(slots)) >= 4


@pytest.mark.parametrize("nic", [n for n, profile in NICS.items() if profile.link == "unix"])
def test_the_receiver_listens_and_the_sender_connects(nic: str) -> None:
    links = {r: next(a for a in planned(nic, r).qemu_args if a.startswith("stream,id=link")) for r in ROLES}
    assert "server=on" in links["receiver"]
    assert "server=off" in links["sender"]
    assert all("addr.path=/run/l" in link for link in links.values())


def test_a_tap_link_names_the_tap_of_its_end() -> None:
    taps = {next(a for a in planned("virtio-tap", r).qemu_args if a.startswith("tap,")) for r in ROLES}
    assert len(taps) == 2
    assert all("script=no,downscript=no" in tap for tap in taps)


def test_loopback_has_no_link_device() -> None:
    args = planned("loopback").qemu_args
    assert not [a for a in args if "id=link" in a or "netdev=link" in a]
    assert "lab.nic" not in planned("loopback").cmdline


@pytest.mark.parametrize("nic", [n for n, profile in NICS.items() if profile.link != "none"])
def test_the_link_device_is_the_profiles(nic: str) -> None:
    plan = planned(nic)
    device = next(a for a in plan.qemu_args if "netdev=link" in a)
    assert device.split(",")[0] == NICS[nic].model
    assert NICS[nic].options in device
    address = mac("0123abcd", "receiver", "link")
    assert f"mac={address}" in device
    assert f"lab.link={address}" in plan.cmdline.split()


@pytest.mark.parametrize("field", ["kernel", "initrd", "image", "layer", "console", "telemetry", "ready_socket"])
def test_special_characters_in_paths_survive(field: str) -> None:
    root = parsed(planned(files=replace(FILES, **{field: NASTY})))
    places = [e.text for e in root.iter()] + [v for e in root.iter() for v in e.attrib.values()]
    assert NASTY in places


def test_special_characters_in_arguments_survive() -> None:
    assert any(NASTY in a for a in arguments(parsed(planned(files=replace(FILES, link_socket=NASTY)))))


def test_memory_goes_by_role_and_shape() -> None:
    assert text(parsed(planned(role="receiver")), "memory") == str(SMALL.receiver_mib)
    assert text(parsed(planned(role="sender")), "memory") == str(SMALL.sender_mib)
    assert SMALL.receiver_mib < STANDARD.receiver_mib


def test_only_the_receiver_of_a_shape_that_says_so_has_several_vcpus() -> None:
    assert [text(parsed(planned(role=role)), "vcpu") for role in ("receiver", "sender")] == ["1", "1"]
    shape = Shape("several", 768, 256, receiver_vcpus=4)
    plans = [plan_guest("p", r, NICS["virtio"], shape, FILES, ENGINE) for r in ROLES]
    assert [text(parsed(plan), "vcpu") for plan in plans] == ["4", "1"]


def test_the_machine_type_is_the_one_that_was_chosen() -> None:
    kind = parsed(planned()).find("os/type")
    assert kind is not None
    assert kind.attrib["machine"] == ENGINE.machine


def test_the_accelerator_is_the_one_that_was_proved() -> None:
    assert parsed(planned()).attrib["type"] == "qemu"
    kvm = parsed(planned(kvm=True))
    assert kvm.attrib["type"] == "kvm"
    assert kvm.find("cpu") is not None


LAYERED = replace(FILES, layer="/layer.erofs", layer_key="0123456789abcdef0123")


def test_what_a_guest_mounts_cannot_be_written() -> None:
    disks = parsed(planned(files=LAYERED)).findall("devices/disk")
    assert len(disks) == 2
    assert all(disk.find("readonly") is not None for disk in disks)


def test_programs_of_an_experiment_are_a_disk_that_the_guest_knows_by_its_serial() -> None:
    plan = planned(files=LAYERED)
    image, layer = parsed(plan).findall("devices/disk")
    assert (text(image, "serial"), text(layer, "serial")) == ("userland", LAYERED.layer_key)
    assert len(LAYERED.layer_key) == 20  # VIRTIO_BLK_ID_BYTES: a longer one would be cut
    assert f"lab.layer={LAYERED.layer_key}" in plan.cmdline.split()
    assert LAYERED.layer in plan.reads
    assert "lab.layer" not in planned().cmdline
    assert len(parsed(planned()).findall("devices/disk")) == 1


def test_a_dead_kernel_ends_qemu() -> None:
    root = parsed(planned())
    assert {text(root, f"on_{what}") for what in ("poweroff", "reboot", "crash")} == {"destroy"}
    assert {"panic=-1", "oops=panic"} <= set(planned().cmdline.split())


def test_the_same_arguments_make_the_same_text() -> None:
    assert render(planned()) == render(planned())
    assert render(planned(role="sender")) != render(planned())


def test_only_a_guest_that_is_to_be_counted_carries_the_plugin() -> None:
    counted = replace(FILES, plugin="/p/lab-insn.so", instructions="/captures/instructions.jsonl")
    arguments_of = arguments(parsed(planned(files=counted)))
    assert arguments_of[-2:] == ["-plugin", "file=/p/lab-insn.so,out=/captures/instructions.jsonl"]
    assert "-plugin" not in arguments(parsed(planned()))


def test_memory_is_written_through_while_a_state_is_made_and_never_again() -> None:
    saving = replace(FILES, ram="/states/k/receiver.ram")
    restoring = replace(saving, state="/states/k/receiver.state")
    assert not any("memory-backend" in arg for arg in planned().qemu_args)
    assert any(arg.endswith("mem-path=/states/k/receiver.ram,share=on") for arg in planned(files=saving).qemu_args)
    assert any(arg.endswith("mem-path=/states/k/receiver.ram,share=off") for arg in planned(files=restoring).qemu_args)
    assert "-incoming" not in planned(files=saving).qemu_args
    assert planned(files=restoring).qemu_args[-4:-2] == ("-incoming", "defer")


@pytest.mark.parametrize("role", ROLES)
def test_a_restored_guest_has_the_devices_of_the_one_that_was_saved(role: Role) -> None:
    files = replace(FILES, ram="/r", state="/s")
    born = plan_guest("aaaaaaaa", role, NICS["e1000e-split"], SMALL, FILES, ENGINE)
    again = plan_guest("bbbbbbbb", role, NICS["e1000e-split"], SMALL, files, ENGINE, born="aaaaaaaa")
    assert again.name == f"lab-bbbbbbbb-{role}"
    assert again.cmdline == born.cmdline
    assert again.qemu_args[: len(born.qemu_args)] == born.qemu_args
