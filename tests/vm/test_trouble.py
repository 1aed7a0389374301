# SPDX-License-Identifier: GPL-2.0-only
"""Things that go wrong: whose fault it is, what is kept, and that nothing is left running."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lab.host.digests import sha256_of
from lab.kernels import cpio
from lab.pair.ready import pair_request
from lab.plan.limits import Limits
from lab.plan.names import Role, domain_name
from lab.plan.session import SessionPlan
from lab.units import Deadline, wait_until
from tests.vm.conftest import MakePlan
from tests.vm.sessions import Json, Session, pytest_argv, qemus, run_script, running, running_plan

HOLD = [("hold", "loopback")]
VIRTIO = [("hold", "virtio")]

# All a guest's /init can do wrong without a C library: never say anything.
SLEEPER = 'void _start(void) { for (;;) __asm__ volatile("syscall" : : "a"(34) : "rcx", "r11", "memory"); /* pause */ }'


def only_result(plan: SessionPlan) -> Json:
    """Run the plan's one run; returns its line of results."""
    with running_plan(plan) as session:
        session.end()
        return session.result("hold", "loopback")


def incidents(result: Json) -> list[str]:
    manifest = json.loads((Path(result["bundle"]) / "manifest.json").read_text())
    return [f"{i['kind']}: {i['detail']}" for i in manifest["incidents"]]


def findings(result: Json, rule: str) -> str:
    return "\n".join(f["message"] for f in result["findings"] if f["rule"] == rule)


def console(result: Json) -> str:
    return (Path(result["bundle"]) / "receiver" / "console.log").read_text(errors="replace")


def with_initrd(base: SessionPlan, entries: list[cpio.Entry], folder: Path) -> dict[str, object]:
    """The base plan's kernel with another initrd."""
    path = folder / "initrd"
    path.write_bytes(cpio.newc(entries))
    return {"kernels": (replace(base.kernels[0], initrd=path, initrd_sha256=sha256_of(path)),)}


def receiver_at(session: Session, plan: SessionPlan, stage: str) -> int:
    session.reach(stage)
    return next(pid for name, pid in qemus(plan).items() if name.endswith("receiver"))


def name_of(plan: SessionPlan, role: Role) -> str:
    """Domain of the plan's first pair."""
    return domain_name(pair_request(plan, plan.runs[0], 1).id, role)


def pid_of(plan: SessionPlan, role: str) -> int:
    return next(pid for name, pid in qemus(plan).items() if name.endswith(role))


def soon(what: str) -> Deadline:
    return Deadline.after(what, timedelta(seconds=60))


def flip(path: Path) -> None:
    """The first byte of it."""
    with path.open("r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))


def replace_file(path: Path) -> None:
    """By what it was until now."""
    other = path.with_name("other")
    shutil.copy(path, other)
    other.rename(path)


def test_qemu_killed_from_outside_is_a_miss(make_plan: MakePlan) -> None:
    plan = make_plan(HOLD)
    with running_plan(plan) as session:
        os.kill(receiver_at(session, plan, "delivered"), signal.SIGKILL)
        session.end()
        result = session.result("hold", "loopback")
    assert result["verdict"] == "MISS", result
    assert incidents(result)[0].startswith("qemu-exit: its QEMU process ended from outside")
    assert not qemus(plan)


def test_qemu_stopped_from_outside_is_not_blamed_on_the_kernel(make_plan: MakePlan) -> None:
    """From the guest's side it looks like a hang; but QEMU's own monitor does not answer either."""
    plan = make_plan(HOLD, limits=Limits(silence=timedelta(seconds=6)))
    with running_plan(plan) as session:
        os.kill(receiver_at(session, plan, "delivered"), signal.SIGSTOP)
        session.end()
        result = session.result("hold", "loopback")
    assert result["verdict"] == "MISS", result
    told = incidents(result)
    assert told[0].startswith("frozen: its QEMU was stopped for ")
    assert "QEMU does not say that it runs" in told[1]
    assert not qemus(plan)


def still_at_work(session: Session, seconds: float) -> None:
    """So long, in which the session does not end."""
    with pytest.raises(subprocess.TimeoutExpired):
        session.process.wait(seconds)


@pytest.mark.parametrize(("seconds", "role"), [(22, "receiver"), (22, "sender"), (2, "receiver")])
def test_qemu_stopped_for_a_while_is_no_fault_of_the_kernel(make_plan: MakePlan, seconds: float, role: str) -> None:
    """When it goes on, its kernel finds its clock far ahead: it complains of a soft lock-up or an RCU stall."""
    plan = make_plan(VIRTIO, limits=Limits(silence=timedelta(seconds=60)))
    with running_plan(plan) as session:
        session.reach("delivered")
        pid = pid_of(plan, role)
        os.kill(pid, signal.SIGSTOP)
        still_at_work(session, seconds)
        os.kill(pid, signal.SIGCONT)
        session.end()
        result = session.result("hold", "virtio")
    print(incidents(result), findings(result, "kernel-alive"))
    assert result["verdict"] == "MISS", result
    assert incidents(result)[0].startswith(f"frozen: its QEMU was stopped for {seconds}.")
    assert not qemus(plan)


def test_a_stop_while_the_pair_is_made_counts_for_its_first_run(make_plan: MakePlan) -> None:
    plan = make_plan(HOLD, cold=True)
    with running_plan(plan) as session:
        session.reach("booting")
        pid = wait_until(lambda: (qemus(plan).get(name_of(plan, "receiver")), "no QEMU"), deadline=soon("QEMU"))
        os.kill(pid, signal.SIGSTOP)
        still_at_work(session, 3)
        os.kill(pid, signal.SIGCONT)
        session.end()
        result = session.result("hold", "loopback")
    assert result["verdict"] == "MISS", result
    assert incidents(result)[0].startswith("frozen: its QEMU was stopped for 3.")


@pytest.mark.parametrize(
    ("name", "spoil", "told"),
    [
        ("console.log", lambda path: os.truncate(path, path.stat().st_size // 2), "console.log shrank from "),
        ("console.log", flip, "console.log was changed after the guest had written it"),
        ("telemetry.jsonl", Path.unlink, "telemetry.jsonl was removed"),
        ("telemetry.jsonl", lambda path: os.truncate(path, 0), "telemetry.jsonl shrank from "),
        ("telemetry.jsonl", replace_file, "telemetry.jsonl was replaced"),
    ],
)
def test_a_capture_that_somebody_spoils_proves_nothing(
    make_plan: MakePlan, name: str, spoil: Callable[[Path], object], told: str
) -> None:
    plan = make_plan(HOLD, limits=Limits(silence=timedelta(seconds=6)))
    with running_plan(plan) as session:
        session.reach("delivered")
        (pair,) = (plan.folder / "pairs").iterdir()
        spoil(pair / "receiver" / name)
        session.end()
        result = session.result("hold", "loopback")
    assert result["verdict"] == "MISS", result
    assert any(told in incident for incident in incidents(result)), incidents(result)
    assert not any(incident.startswith("hang") for incident in incidents(result))
    assert not qemus(plan)


def test_a_kernel_that_panics_at_boot_fails(make_plan: MakePlan, base_plan: SessionPlan, tmp_path: Path) -> None:
    plan = make_plan(HOLD, **with_initrd(base_plan, [cpio.directory("dev")], tmp_path))
    result = only_result(plan)
    assert result["verdict"] == "FAIL", result
    assert (result["predicted"], result["as_predicted"]) == ("FAIL", False)  # of what the case asks, not this
    assert "panic" in findings(result, "kernel-alive")
    assert "Kernel panic" in console(result)
    assert incidents(result)[0].startswith("boot: ")
    assert not qemus(plan)


def test_a_guest_that_never_answers_is_a_miss(make_plan: MakePlan, base_plan: SessionPlan, tmp_path: Path) -> None:
    (tmp_path / "init.c").write_text(SLEEPER)
    argv = ["cc", "-static", "-nostdlib", "-O1", "-o", str(tmp_path / "init"), str(tmp_path / "init.c")]
    subprocess.run(argv, check=True)
    entries = [cpio.regular("init", (tmp_path / "init").read_bytes(), mode=0o755)]
    plan = make_plan(HOLD, limits=Limits(boot=timedelta(seconds=5)), **with_initrd(base_plan, entries, tmp_path))
    result = only_result(plan)
    assert result["verdict"] == "MISS", result
    assert "waited 5 s for the ready line" in incidents(result)[0]
    assert not qemus(plan)


def test_a_broken_image_is_a_miss_that_names_it(make_plan: MakePlan, base_plan: SessionPlan, tmp_path: Path) -> None:
    """Cut off after the superblock: it mounts, and nothing in it can be read."""
    broken = tmp_path / "userland.erofs"
    with base_plan.image.path.open("rb") as image:
        broken.write_bytes(image.read(4096))
    plan = make_plan(HOLD, image=replace(base_plan.image, path=broken, sha256=sha256_of(broken)))
    result = only_result(plan)
    assert result["verdict"] == "MISS", result
    assert incidents(result)[0].startswith("boot: ")
    assert "erofs" in console(result)
    assert "lab-init: cannot" in incidents(result)[0]
    assert not qemus(plan)


def test_a_guest_kernel_that_crashes_during_traffic_fails(make_plan: MakePlan) -> None:
    plan = make_plan(HOLD)
    result = run_script(plan, "crash")
    assert result["verdict"] == "FAIL", result
    assert not result["as_predicted"]
    assert "panic" in findings(result, "kernel-alive")
    assert "sysrq" in console(result)
    assert incidents(result)[0].startswith("lost: ")
    assert not qemus(plan)


def test_a_guest_that_falls_silent_while_its_qemu_runs_has_hung(make_plan: MakePlan) -> None:
    plan = make_plan(HOLD, limits=Limits(silence=timedelta(seconds=6)))
    result = run_script(plan, "hush")
    assert result["verdict"] == "FAIL", result
    assert not result["as_predicted"]
    assert "hung" in findings(result, "kernel-alive")
    assert incidents(result)[0].startswith("hang: ")
    assert not qemus(plan)


needs_mounts = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system to fill")
TINY = 'mount -t tmpfs -o size={size} lab "{folder}" && exec "$@"'


def tiny_disk(folder: Path, size: str) -> list[str]:
    """Prefix of a command that then sees a small file system of its own in `folder`."""
    return ["unshare", "--mount", "sh", "-c", TINY.format(size=size, folder=folder), "sh"]


@needs_mounts
def test_a_disk_that_fills_up_under_the_captures_is_no_hang(make_plan: MakePlan) -> None:
    """Telemetry falls silent, as it would in a guest that hangs."""
    plan = make_plan(HOLD, limits=Limits(silence=timedelta(seconds=6)))
    pairs = plan.folder / "pairs"
    pairs.mkdir()
    with running_plan(plan, prefix=tiny_disk(pairs, "24M")) as session:
        session.reach("delivered")
        _fill(session, pairs)
        session.end()
        result = session.result("hold", "loopback")
    assert result["verdict"] == "MISS", result
    assert not qemus(plan)


@needs_mounts
def test_a_disk_that_fills_up_under_the_bundle_is_told(make_plan: MakePlan) -> None:
    plan = make_plan(HOLD)
    bundle = plan.folder / plan.runs[0].id
    bundle.mkdir()
    with running_plan(plan, prefix=tiny_disk(bundle, "6M")) as session:
        session.reach("delivered")
        _fill(session, bundle)
        assert session.end() != 0
    assert "cannot write the bundle" in session.text
    assert "No space left on device" in session.text
    assert not qemus(plan)


@needs_mounts
def test_a_full_disk_is_refused_before_anything_starts(tmp_path: Path) -> None:
    disk, runtime = tmp_path / "disk", Path(tempfile.mkdtemp(prefix="lv-", dir="/tmp"))
    disk.mkdir()
    args = ["-n", "1", "--nic", "loopback", "--lab-names", "hold", "--results", str(disk)]
    env = {"LAB_RUNTIME": str(runtime)}
    with running(disk, pytest_argv(*args), log=tmp_path / "log", env=env, prefix=tiny_disk(disk, "1M")) as session:
        assert session.end() == pytest.ExitCode.INTERNAL_ERROR
    assert "no disk left" in session.text
    assert "Traceback" not in session.text
    runtime.rmdir()  # fails unless it is empty


def _fill(session: Session, folder: Path) -> None:
    """Fill the small file system that only the session sees."""
    inside = Path(f"/proc/{session.process.pid}/root{folder}")
    with (inside / ".fill").open("wb", buffering=0) as f:
        for size in (1 << 16, 1):
            with contextlib.suppress(OSError):
                while f.write(b"\0" * size):
                    pass
    assert shutil.disk_usage(inside).free == 0
