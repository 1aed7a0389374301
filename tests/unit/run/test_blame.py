# SPDX-License-Identifier: GPL-2.0-only
"""Whose fault it is, from what a guest's death, telemetry, QEMU and disk say."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lab.collect.bundle import BundleWriter
from lab.contracts import BootableKernel, GuestImage
from lab.errors import CommandFailed, DeadlinePassed, Fault, Flood, GuestLost, HostTrouble, LabTrouble
from lab.host.digests import sha256_of
from lab.pair.blame import Watch, account, blame, check_disk, explained
from lab.pair.keeper import PairKeeper
from lab.pair.timeline import Timeline
from lab.plan.design import Predicted
from lab.plan.limits import Limits
from lab.plan.matrix import Run
from lab.plan.session import SessionPlan
from lab.provision.guest import Guest
from lab.provision.hypervisor import Death
from lab.trial.life import Life
from lab.trial.steps import Steps
from lab.trial.trial import Trial
from lab.verdict.model import Word
from tests.known import CASES
from tests.unit.damaged import flip
from tests.unit.provision.guests import NoHypervisor, guest

SHORT = Limits(death=timedelta(milliseconds=60), silence=timedelta(milliseconds=150))
PANIC = Death("powered off, or rebooted after a panic", by_itself=True)
KILLED = Death("its QEMU process ended from outside", by_itself=False)
LOST, LATE, FAILED = GuestLost("gone"), DeadlinePassed("late"), CommandFailed(["rmdir"], 1, "busy")


@contextmanager
def speaking(*guests: Guest) -> Iterator[None]:
    """Telemetry of these guests grows."""
    stop = threading.Event()

    def speak() -> None:
        while not stop.wait(0.005):
            for subject in guests:
                with subject.telemetry.open("a") as f:
                    f.write("{}\n")

    thread = threading.Thread(target=speak)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.mark.parametrize("trouble", [LOST, LATE, FAILED])
@pytest.mark.parametrize(("death", "kind"), [(PANIC, "lost"), (KILLED, "qemu-exit")])
def test_a_death_explains_the_trouble(trouble: LabTrouble, death: Death, kind: str, tmp_path: Path) -> None:
    pair = [guest(tmp_path, "receiver"), guest(tmp_path, "sender")]
    pair[1].signals.died(death)
    fault = blame(trouble, pair, SHORT)
    assert (fault.kind, fault.guest) == (kind, "sender")
    assert str(death) in fault.detail
    assert str(trouble) in fault.detail


def test_a_death_that_is_told_late_still_wins(tmp_path: Path) -> None:
    subject = guest(tmp_path)
    timer = threading.Timer(0.03, subject.signals.died, [PANIC])
    timer.start()
    assert blame(LOST, [subject], Limits(death=timedelta(seconds=30))).kind == "lost"
    timer.join()


@pytest.mark.parametrize("trouble", [LOST, LATE])
def test_a_silent_guest_has_hung(trouble: LabTrouble, tmp_path: Path) -> None:
    pair = [guest(tmp_path, "receiver"), guest(tmp_path, "sender")]
    with speaking(pair[1]):
        fault = blame(trouble, pair, SHORT)
    assert (fault.kind, fault.guest) == ("hang", "receiver")
    assert "no telemetry for 0.15 s" in fault.detail


def test_a_silent_guest_whose_telemetry_has_ended_has_not(tmp_path: Path) -> None:
    """Somebody killed it: the guest's init, which still runs, has told so."""
    subject = guest(tmp_path)
    subject.signals.heard('{"t":9.1,"event":"died","program":"lab-telemetry","status":9}')
    other = guest(tmp_path)
    other.signals.heard('{"t":9.1,"event":"died","program":"dropbear","status":9}')
    assert blame(LATE, [other], SHORT).kind == "hang"
    fault = blame(LATE, [subject], SHORT)
    assert (fault.kind, fault.guest) == ("lost", "receiver")
    assert fault.detail.startswith("its lab-telemetry has ended; no telemetry for 0.15 s")


def test_a_silent_guest_whose_qemu_does_not_answer_has_not(tmp_path: Path) -> None:
    fault = blame(LOST, [guest(tmp_path, qemu_answers=False)], SHORT)
    assert (fault.kind, fault.guest) == ("qemu-exit", "receiver")


@pytest.mark.parametrize(
    ("trouble", "kind"), [(LOST, "lost"), (LATE, "deadline"), (FAILED, "host"), (HostTrouble("no room"), "host")]
)
def test_with_guests_that_live_and_speak_nobody_is_named(trouble: LabTrouble, kind: str, tmp_path: Path) -> None:
    subject = guest(tmp_path)
    with speaking(subject):
        fault = blame(trouble, [subject], SHORT)
    assert (fault.kind, fault.guest, fault.detail) == (kind, "", str(trouble))


HANG, DEAD = Fault("hang", "receiver", "silent"), Fault("qemu-exit", "receiver", "killed")
FROZEN, CUT = Fault("frozen", "receiver", "stopped"), Fault("host", "receiver", "telemetry.jsonl was removed")
FULL, OTHER = Fault("flood", "sender", "40 MiB"), Fault("frozen", "sender", "stopped")


@pytest.mark.parametrize(
    ("fault", "seen", "told"),
    [
        (HANG, (), (HANG,)),
        (HANG, (FROZEN,), (FROZEN,)),
        (HANG, (CUT,), (CUT,)),
        (HANG, (OTHER,), (OTHER, HANG)),
        (DEAD, (FROZEN,), (FROZEN, DEAD)),
        (DEAD, (FULL,), (FULL,)),
        (DEAD, (FULL, FROZEN), (FULL, FROZEN)),
        (Fault("flood", "", "40 MiB"), (FULL,), (FULL,)),
        (Fault("flood", "", "40 MiB"), (), (Fault("flood", "", "40 MiB"),)),
        (Fault("host", "", "no room"), (FULL,), (Fault("host", "", "no room"), FULL)),
    ],
)
def test_what_was_seen_explains_the_end(fault: Fault, seen: tuple[Fault, ...], told: tuple[Fault, ...]) -> None:
    assert explained(fault, seen) == told


def test_what_shows_while_somebody_is_blamed_counts(tmp_path: Path) -> None:
    """QEMU is stopped, and goes on just before its monitor is asked."""
    silent = [guest(tmp_path, "receiver")]
    seen: list[Fault] = []

    class Late(NoHypervisor):
        def answers(self, domain: Any, limit: timedelta) -> bool:  # noqa: ANN401
            seen.append(FROZEN)
            return True

    asked = replace(silent[0], hypervisor=Late())
    assert account(LOST, [asked], SHORT, lambda: seen) == (FROZEN,)


def test_a_flood_over_ssh_needs_nobody_to_be_blamed(tmp_path: Path) -> None:
    told = account(Flood("40 MiB"), [guest(tmp_path)], Limits(), lambda: ())
    assert told == (Fault("flood", "", "40 MiB"),)


def test_a_watch_ends_a_wait_for_the_dead_at_once(tmp_path: Path) -> None:
    subject = guest(tmp_path)
    watch = Watch(Limits())
    watch.check([subject])
    subject.signals.died(PANIC)
    with pytest.raises(GuestLost, match="the receiver is gone: powered off"):
        watch.check([subject])


def test_a_watch_ends_a_wait_for_the_silent_after_the_limit(tmp_path: Path) -> None:
    subject = guest(tmp_path)
    patient, strict = Watch(Limits()), Watch(Limits(silence=timedelta()))
    for watch in (patient, strict):
        watch.check([subject])
    subject.telemetry.write_text("{}\n")
    strict.check([subject])
    patient.check([subject])
    patient.check([subject])
    with pytest.raises(GuestLost, match="the receiver has said nothing"):
        strict.check([subject])


def test_a_disk_with_room_is_no_trouble(tmp_path: Path) -> None:
    check_disk(tmp_path / "not" / "yet" / "there")
    assert not list(tmp_path.iterdir())  # asking makes nothing


def test_a_file_system_without_room_is(tmp_path: Path) -> None:
    with pytest.raises(HostTrouble, match="no disk left: 0 KiB are free for /proc/lab") as caught:
        check_disk(Path("/proc/lab"))
    assert "--results" in caught.value.hint


# -- the same through an experiment -------------------------------------------------------------------------------


@pytest.fixture
def plan(tmp_path: Path) -> SessionPlan:
    made = {name: tmp_path / name for name in ("boot", "initrd", "image", "layer")}
    for name, path in made.items():
        path.write_text(name)
    kernel = BootableKernel("k", made["boot"], made["initrd"], "6.12", "stock", sha256_of(made["boot"]), "")
    kernel = replace(kernel, initrd_sha256=sha256_of(made["initrd"]))
    image = GuestImage(made["image"], sha256_of(made["image"]), "0")
    layer = GuestImage(made["layer"], sha256_of(made["layer"]), "1")
    run = Run("s", "k", "stock", "loopback", "hold", 0, layer=layer.key)
    fixed = {"name": "s", "started": "", "command": "", "connect": "none", "accelerator": "tcg", "pairs": 1}
    made_of = {"image": image, "layers": (layer,), "kernels": (kernel,)}
    return SessionPlan(**fixed, **made_of, folder=tmp_path, sockets=tmp_path, runs=(run,))  # type: ignore[arg-type]


class NoPair(PairKeeper):
    """Every pair ends as told while it is made."""

    ending: BaseException = LOST

    def acquire(self, run: Run, timeline: Timeline | None = None) -> None:  # type: ignore[override]
        raise self.ending


def experiment(plan: SessionPlan, ending: BaseException = LOST) -> Life:
    keeper = NoPair(NoHypervisor(), plan, lambda _: None)
    keeper.ending = ending
    return Life(plan.runs[0], CASES["hold"], keeper, BundleWriter(plan.folder / "b"), lambda _: None, SHORT)


def kinds(subject: Life) -> list[str]:
    return [incident.kind for incident in subject.incidents]


def test_what_the_host_saw_of_a_pair_that_never_was_is_told_too(plan: SessionPlan) -> None:
    for seen, told in (((FROZEN,), ["frozen", "boot"]), ((FULL,), ["flood"])):
        lost = GuestLost("gone")
        lost.add_seen(seen)
        with experiment(plan, lost) as subject:
            Steps(subject).start()
        assert kinds(subject) == told


@pytest.mark.parametrize("trouble", [LOST, LATE, HostTrouble("no QEMU")])
def test_a_pair_that_never_was_is_trouble_of_the_boot(plan: SessionPlan, trouble: LabTrouble) -> None:
    subject = experiment(plan, trouble)
    with subject:
        Steps(subject).start()
    assert [(i.kind, i.detail) for i in subject.incidents] == [("boot", str(trouble))]
    assert "no QEMU" not in str(trouble) or "no QEMU" in (plan.folder / "b" / "driver.jsonl").read_text()


@pytest.mark.parametrize("name", ["boot", "initrd", "image", "layer"])
def test_trouble_after_a_damaged_file_was_booted_is_told_with_the_file(plan: SessionPlan, name: str) -> None:
    flip(plan.folder / name)
    subject = experiment(plan, LOST)
    with subject:
        Steps(subject).start()
    assert kinds(subject) == ["boot", "damaged"]
    assert str(plan.folder / name) in subject.incidents[1].detail


def test_a_damaged_file_explains_no_interrupt(plan: SessionPlan) -> None:
    """Who wants to stop does not wait until everything was read."""
    flip(plan.folder / "boot")
    subject = experiment(plan)
    with pytest.raises(KeyboardInterrupt), subject:
        raise KeyboardInterrupt
    assert kinds(subject) == ["interrupted"]


def test_an_interrupt_is_told_and_goes_on(plan: SessionPlan) -> None:
    subject = experiment(plan)
    with pytest.raises(KeyboardInterrupt), subject:
        raise KeyboardInterrupt
    assert kinds(subject) == ["interrupted"]


def test_a_full_disk_is_the_hosts_trouble(plan: SessionPlan) -> None:
    subject = experiment(plan)
    with subject:
        raise OSError(errno.ENOSPC, "No space left on device")
    assert kinds(subject) == ["host"]
    assert str(plan.folder / "b") in subject.incidents[0].detail


def test_a_mistake_of_ours_is_told_by_name_and_no_guests(plan: SessionPlan) -> None:
    subject = experiment(plan)
    with pytest.raises(KeyError), subject:
        raise KeyError("abuser")
    assert [(i.kind, i.guest, i.detail) for i in subject.incidents] == [
        ("host", "", "a fault of the lab, KeyError: 'abuser'")
    ]


def test_a_nic_that_this_qemu_does_not_have_is_a_skip_and_asks_for_no_pair(plan: SessionPlan) -> None:
    run = replace(plan.runs[0], nic="igb")
    keeper = NoPair(NoHypervisor(), plan, lambda _: None)
    trial = Trial(run, plan, keeper, lambda _: None, CASES["hold"])
    with trial as subject:
        subject.start()
    assert trial.result is not None
    assert (trial.verdict, trial.predicted) == (Word.SKIP, Predicted.SKIP)
    assert [f.message for f in trial.result.verdict.findings] == ["igb needs QEMU 8.0, this host has 7.2.22"]
    assert kinds(trial.life) == []


def test_a_kernel_without_the_nics_driver_is_a_skip(plan: SessionPlan) -> None:
    cloud = replace(plan, kernels=(replace(plan.kernels[0], modules=("virtio_net", "erofs")),))
    keeper = NoPair(NoHypervisor(), cloud, lambda _: None)
    trial = Trial(replace(plan.runs[0], nic="e1000e-split"), cloud, keeper, lambda _: None, CASES["hold"])
    with trial as subject:
        subject.start()
    assert (trial.verdict, trial.life.skip) == (Word.SKIP, "k has no driver e1000e")


def test_the_command_that_repeats_a_run_names_a_kernel_as_it_was_given(plan: SessionPlan) -> None:
    mine = replace(plan, kernels=(replace(plan.kernels[0], asked="/a b/bzImage@put-hook"),))
    as_given = "'/a b/bzImage@put-hook' --nic igb --family ipv6"
    for told, words in ((plan, "lab run hold --kernel k --nic igb --family ipv6"), (mine, as_given)):
        keeper = NoPair(NoHypervisor(), told, lambda _: None)
        run = replace(plan.runs[0], nic="igb", session=words[:3], family="ipv6")
        trial = Trial(run, told, keeper, lambda _: None, CASES["hold"])
        with trial as subject:
            subject.start()
        assert trial.result is not None
        assert trial.result.manifest.reproduce.endswith(words)


def test_a_case_that_does_not_apply_to_a_design_is_a_skip_with_its_reason(plan: SessionPlan) -> None:
    keeper = NoPair(NoHypervisor(), plan, lambda _: None)
    run = replace(plan.runs[0], case="visible", design="precharge")
    trial = Trial(run, plan, keeper, lambda _: None, CASES["visible"])
    with trial as subject:
        subject.start()
    assert (trial.verdict, trial.predicted, trial.as_predicted) == (Word.SKIP, Predicted.SKIP, True)
    assert trial.life.skip == "n/a for precharge: it has no pool of network pages to count"
