# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from lab.cli import guests, shell
from lab.contracts import Address
from lab.drive.terminal import ssh_argv
from lab.errors import BadInput
from lab.plan.nics import NICS
from lab.provision import namespace
from tests.unit.cli.conftest import Lab, write_session


def test_all_problems_of_the_options_are_told_at_once(lab: Lab) -> None:
    ended = lab("shell", "hold", "--nic", "nope", "--role", "observer")
    assert ended.exit_code == 2
    assert "3 problems" in ended.stderr
    assert all(word in ended.stderr for word in ("'nope'", "'observer'", "no run or session 'hold'"))


def test_words_are_a_command_with_a_kernel_and_a_run_without(tmp_path: Path) -> None:
    by_kernel = shell._wanted(["uname", "-r"], "6.12", "", "receiver", tmp_path)
    assert (by_kernel.kernel, by_kernel.nic.name, by_kernel.command) == ("6.12", "loopback", ("uname", "-r"))
    write_session(tmp_path, "20260101-000000-aaaa", ("hold",))
    by_run = shell._wanted(["hold", "id"], "", "", "sender", tmp_path)
    assert (by_run.kernel, by_run.nic.name, by_run.command) == ("k", "e1000e-split", ("id",))
    assert by_run.role == "sender"
    plain = shell._wanted([], "", "", "receiver", tmp_path)
    assert (plain.kernel, plain.nic.name) == ("newest", "loopback")


def test_the_host_has_to_have_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.provision.qemu.installed_qemu", lambda: None)
    with pytest.raises(BadInput, match="NIC profile igb cannot run here"):
        shell._require_host(NICS["igb"])


def test_ssh_trusts_one_key_and_reads_nothing_of_the_users(tmp_path: Path) -> None:
    address = Address("127.0.0.1", 4022, Path("/cache/key"))
    known = tmp_path / "known"
    argv = ssh_argv(address, "ssh-ed25519 AAAA lab", known, ["sh", "-c", "exit 7"])
    assert known.read_text() == "[127.0.0.1]:4022 ssh-ed25519 AAAA\n"
    assert argv[:3] == ["ssh", "-F", "/dev/null"]
    assert argv[-3:] == ["-T", "root@127.0.0.1", "sh -c 'exit 7'"]
    assert ssh_argv(address, "ssh-ed25519 AAAA", known)[-2:] == ["-t", "root@127.0.0.1"]


def test_a_process_replaces_itself_once(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[list[str], str]] = []
    monkeypatch.setattr(os, "execvpe", lambda _file, argv, env: started.append((argv, env[guests.REPLACED])))
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.delenv(guests.REPLACED, raising=False)
    guests.replace_process(own_namespace=True)
    ((argv, mark),) = started
    assert argv[:3] == ["/usr/bin/tini", "-s", "--"]
    assert "--net" in argv
    monkeypatch.setenv(guests.REPLACED, mark)
    guests.replace_process()
    assert len(started) == 1


def test_an_ordinary_user_keeps_the_uid_in_the_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    argv = namespace.argv_in_own_namespace(["true"])
    assert "--map-current-user" in argv
    assert argv[-1] == "true"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "--user" not in shlex.join(namespace.argv_in_own_namespace(["true"]))
