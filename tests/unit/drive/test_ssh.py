# SPDX-License-Identifier: GPL-2.0-only
"""Commands and programs over a real SSH connection, and what is raised when it goes wrong."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lab.drive.ssh import GuestShell, Program, connected
from lab.errors import CommandFailed, DeadlinePassed, Flood, GuestLost
from lab.units import Deadline, wait_until
from tests.unit.drive.server import SshServer, new_key, ssh_server

SAYS = """printf '{"event":"ready","n":1}\\nnot json\\n'; """
HEAR = """while read -r word; do printf '{"event":"heard","word":"%s"}\\n' "$word"; done; echo '{"event":"done"}'"""
Start = Callable[[str], Program]


def soon(what: str = "it", seconds: float = 20) -> Deadline:
    return Deadline.after(what, timedelta(seconds=seconds))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("ssh")) as running:
        yield running


@pytest.fixture
def shell(server: SshServer) -> Iterator[GuestShell]:
    with connected("the guest", server.address, server.hostkey, threading.Condition()) as guest:
        yield guest


@pytest.fixture
def start(shell: GuestShell, tmp_path: Path) -> Start:
    return lambda script: shell.start("client", ("sh", "-c", script), tmp_path / "clients" / "client.jsonl")


def ended(program: Program) -> bool:
    return program.ended


def test_a_command_gives_its_output_apart_and_its_status(shell: GuestShell) -> None:
    result = shell.run(["sh", "-c", "echo out; echo err >&2; exit 3"], seconds=20)
    assert (result.status, result.stdout, result.stderr) == (3, b"out\n", b"err\n")


def test_arguments_arrive_as_they_were_given(shell: GuestShell) -> None:
    nasty = "two  words; $HOME 'q' \"d\" *"
    assert shell.check(["printf", "%s", nasty]) == nasty.encode()


def test_a_command_that_must_succeed_and_does_not_is_told_with_its_words(shell: GuestShell) -> None:
    with pytest.raises(CommandFailed, match=r"(?s)exit status 2: sh -c .*no such limit") as caught:
        shell.check(["sh", "-c", "echo no such limit >&2; exit 2"])
    assert caught.value.status == 2


def test_a_command_that_takes_too_long_is_given_up(shell: GuestShell) -> None:
    with pytest.raises(DeadlinePassed, match=r"waited 1 s for `cat` on the guest"):
        shell.run(["cat"], seconds=1)
    assert shell.check(["echo", "still here"]) == b"still here\n"


@pytest.mark.parametrize("signal", ["KILL", "SEGV"])
def test_a_death_by_signal_is_a_status(shell: GuestShell, signal: str) -> None:
    number = {"KILL": 137, "SEGV": 139}[signal]
    assert shell.run(["sh", "-c", f"kill -{signal} $$"], seconds=20).status == number


def test_a_program_speaks_line_by_line_and_is_captured(start: Start, tmp_path: Path) -> None:
    program = start(SAYS + "echo trouble >&2; exit 4")
    program.wait("the end", ended, soon())
    assert program.events == [{"event": "ready", "n": 1}]
    assert program.said("ready")
    assert not program.said("done")
    assert (program.status, program.last()["n"]) == (4, 1)
    assert program.stdout.read_bytes() == b'{"event":"ready","n":1}\nnot json\n'


def test_a_program_whose_words_cannot_be_kept_counts_as_lost(shell: GuestShell, tmp_path: Path) -> None:
    full = tmp_path / "client.jsonl"
    full.symlink_to("/dev/full")
    program = shell.start("client", ("sh", "-c", SAYS + "cat"), full)
    program.wait("the end", ended, soon())
    assert program.status is None
    program.close()


def test_standard_error_goes_beside(start: Start) -> None:
    program = start("echo trouble >&2; echo '{}'")
    program.wait("the end", ended, soon())
    beside = program.stdout.with_suffix(".stderr")
    said = wait_until(lambda: ((beside.read_bytes() if beside.exists() else b"") or None, "nothing"), deadline=soon())
    assert said == b"trouble\n"
    assert program.events == [{}]


def test_a_program_hears_commands_and_ends_with_its_input(start: Start) -> None:
    program = start(HEAR)
    program.tell("release")
    program.wait("its answer", lambda p: p.said("heard"), soon())
    assert program.last() == {"event": "heard", "word": "release"}
    assert not program.ended
    program.close()
    program.wait("the end", ended, soon())
    assert program.said("done")
    assert program.status == 0


def test_a_program_killed_in_the_guest_has_a_status_of_its_own(start: Start) -> None:
    program = start("kill -KILL $$")
    program.wait("the end", ended, soon())
    assert program.status == 137


def test_waiting_for_what_a_program_never_says_fails_at_its_end(start: Start) -> None:
    with pytest.raises(CommandFailed, match=r'(?s)exit status 5.*"ready"') as caught:
        start(SAYS + "exit 5").wait("carrier", lambda p: p.said("carrier"), soon())
    assert caught.value.status == 5


def test_waiting_is_bounded_and_quotes_the_last_words(start: Start) -> None:
    program = start(SAYS + "cat")
    program.wait("readiness", lambda p: p.said("ready"), soon())
    with pytest.raises(DeadlinePassed, match=r'waited 0\.05 s for delivery; .*holding of client: .*"ready"'):
        program.wait("holding", lambda p: p.said("holding"), soon("delivery", 0.05))
    program.close()


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("yes '' | head -c 41943040", "more than 50000 lines"),
        ("head -c 1048576 /dev/zero", "a line of more than 256 KiB"),
        ("yes '' | head -c 41943040 >&2", "more than 50000 lines"),
    ],
)
def test_a_program_that_floods_is_cut_off(start: Start, shell: GuestShell, script: str, why: str) -> None:
    """40 MiB of newlines are offered: at most what the cap says is kept, in the file and in memory."""
    program = start(script)
    with pytest.raises(Flood, match="client: the output was given " + why):
        program.wait("more", lambda p: p.said("more"), soon(seconds=60))
    wait_until(lambda: (program.ended or None, "it runs"), deadline=soon())
    assert program.status is None
    captured = sum(path.stat().st_size for path in program.stdout.parent.iterdir())
    assert captured <= 60_000
    with pytest.raises(Flood):
        shell.check_floods()
    assert [told.partition(":")[0] for told in shell.take_floods()] == ["client"]
    shell.check_floods()
    assert shell.check(["echo", "still here"]) == b"still here\n"


def test_of_a_program_that_says_much_the_first_and_the_last_words_are_kept(start: Start) -> None:
    program = start(
        """echo '{"event":"accepted"}'; yes '{"event":"progress","n":7}' | head -n 9000; echo '{"event":"done"}'"""
    )
    program.wait("the end", ended, soon(seconds=60))
    assert program.stdout.read_bytes().count(b"\n") == 9002
    assert len(program.events) < 2500
    assert (program.events[0]["event"], program.last()["event"]) == ("accepted", "done")
    assert program.said("progress")


@pytest.mark.parametrize("line", ["[]", "7", '"x"', "null", "[" * 5000, '{"event":["a"]}', '{"delivered":"much"}'])
def test_lines_of_wrong_types_are_no_trouble(start: Start, line: str) -> None:
    program = start(f"echo '{line}'; echo '{{\"event\":\"done\"}}'; echo '{line}'")
    program.wait("the end", lambda p: p.ended and p.said("done"), soon())
    assert program.count("delivered") == 0
    assert program.status == 0


def test_a_command_that_floods_is_given_up(shell: GuestShell) -> None:
    with pytest.raises(Flood, match=r"`yes`: the output was given more than 32\.0 MiB at once"):
        shell.run(["yes"], seconds=60)
    assert shell.take_floods()
    assert shell.check(["echo", "still here"]) == b"still here\n"


def test_a_command_that_drips_for_ever_is_given_up(shell: GuestShell) -> None:
    with pytest.raises(DeadlinePassed, match=r"waited 1 s for .* on the guest"):
        shell.run(["sh", "-c", "while sleep 0.1; do echo drop; done"], seconds=1)


def test_small_packets_are_not_held_back(shell: GuestShell) -> None:
    (wire,) = (transport.sock for transport in shell.dialler.open)
    assert isinstance(wire, socket.socket)
    assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_another_host_key_is_refused(server: SshServer, tmp_path: Path) -> None:
    other = new_key(tmp_path / "other")
    line = f"{other.get_name()} {other.get_base64()}"
    with (
        pytest.raises(GuestLost, match="host keys differ"),
        connected("g", server.address, line, threading.Condition()),
    ):
        pass


def test_another_user_key_is_refused(server: SshServer, tmp_path: Path) -> None:
    new_key(tmp_path / "stranger")
    address = replace(server.address, key_file=tmp_path / "stranger")
    with (
        pytest.raises(GuestLost, match=r"g does not answer on .*Authentication failed"),
        connected("g", address, server.hostkey, threading.Condition()),
    ):
        pass


def test_where_nothing_listens_there_is_no_guest(server: SshServer) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = replace(server.address, port=port)
    with (
        pytest.raises(GuestLost, match=f"g does not answer on 127.0.0.1:{port}"),
        connected("g", address, server.hostkey, threading.Condition()),
    ):
        pass


def test_a_connection_that_drops_in_a_command_means_a_lost_guest(tmp_path: Path) -> None:
    with ssh_server(tmp_path) as server, connected("g", server.address, server.hostkey, threading.Condition()) as shell:
        program = shell.start("client", ("sh", "-c", SAYS + "cat"), tmp_path / "c.jsonl")
        program.wait("readiness", lambda p: p.said("ready"), soon())
        caught: list[BaseException] = []

        def command() -> None:
            try:
                shell.run(["sh", "-c", "touch started; cat"], seconds=30)
            except GuestLost as exc:
                caught.append(exc)

        runner = threading.Thread(target=command)
        runner.start()
        server.vanish()
        runner.join(20)
        assert caught, "GuestLost"
        program.wait("the end", ended, soon())
        assert program.status is None, "nobody saw it end"
        with pytest.raises(GuestLost):
            shell.run(["true"], seconds=5)
        program.tell("release")  # it has ended: nothing to tell, and no trouble
