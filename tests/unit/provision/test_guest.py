# SPDX-License-Identifier: GPL-2.0-only
"""What a guest announces, and waiting for it."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import paramiko
import pytest

from lab.errors import DeadlinePassed, GuestLost, HostTrouble
from lab.provision.guest import Guest, Signals, listen
from lab.provision.hostkey import make_hostkey, make_login_key
from lab.provision.hypervisor import Death
from lab.units import KIB, MIB
from tests.unit.provision.guests import guest

LONG = timedelta(seconds=30)
READY = json.dumps({"event": "ready", "t": 1.0, "link": True})
PANIC = Death("powered off, or rebooted after a panic", by_itself=True)


@pytest.fixture
def subject(tmp_path: Path) -> Guest:
    return guest(tmp_path)


def test_the_ready_line_brings_no_host_key() -> None:
    """Ours is believed, and none that a guest says."""
    signals = Signals()
    assert not signals.ready
    signals.heard('{"event": "ready", "hostkey": "ssh-ed25519 AAAA"}')
    assert signals.ready
    assert signals.hostkey == ""


def test_carrier_comes_and_goes() -> None:
    signals = Signals()
    for carrier in (True, False, True):
        signals.heard(json.dumps({"event": "link", "carrier": int(carrier)}))
        assert signals.carrier is carrier


@pytest.mark.parametrize(
    "line",
    [
        *("", "half a li", '{"event":', '{"event":"else"}', "[]", "7", "[" * 10_000, "9" * 10_000),
        *('{"event":["ready"]}', '{"event":"settled"}', '{"event":"settled","settings":"all"}'),
    ],
)
def test_what_is_not_understood_changes_nothing(line: str) -> None:
    signals = Signals()
    signals.heard(line)
    assert (signals.ready, signals.carrier, signals.settled) == (False, False, None)


def test_lines_come_through_a_real_port() -> None:
    signals = Signals()
    ours, theirs = socket.socketpair()
    reader = threading.Thread(target=listen, args=(signals, ours))
    reader.start()
    theirs.sendall(READY[:10].encode())
    theirs.sendall(READY[10:].encode() + b"\n\xff\xfe\n" + b'{"event":"link","carrier":1}\nhalf')
    theirs.close()
    reader.join(20)
    assert not reader.is_alive()
    assert (signals.ready, signals.carrier) == (True, True)


@pytest.mark.parametrize("t", ['"soon"', "null", "[1]", "-1", "NaN", "1e999", "9" * 400, "{}"])
def test_a_time_that_is_none_is_0(t: str) -> None:
    signals = Signals()
    signals.heard(f'{{"event":"ready","t":{t}}}')
    assert signals.clock is not None
    assert signals.clock[0] == 0.0


def say(data: bytes, times: int) -> Signals:
    """What is known of a guest after it has said that so often, if somebody listens, and hung up."""
    signals = Signals()
    ours, theirs = socket.socketpair()
    reader = threading.Thread(target=listen, args=(signals, ours))
    reader.start()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError), theirs:
        for _ in range(times):
            theirs.sendall(data)
    reader.join(20)
    assert not reader.is_alive()
    return signals


@pytest.mark.parametrize(
    ("data", "why"), [(b"\n" * MIB, "lines at once"), (b"a" * MIB, "a line of more"), (b"[7]\n" * KIB, "lines at once")]
)
def test_a_port_that_is_flooded_is_not_listened_to(data: bytes, why: str) -> None:
    """40 MiB are offered: who listens to them all is given each of their lines."""
    signals = say(data, 40)
    assert signals.flood.startswith("the ready port was given ")
    assert why in signals.flood
    assert len(signals.said) <= 8


def test_what_a_guest_has_to_say_is_no_flood() -> None:
    signals = say(json.dumps({"event": "link", "carrier": 1}).encode() + b"\n", 500)
    assert signals.flood == ""
    assert signals.carrier


def later(act: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_a_wait_ends_with_the_signal(subject: Guest) -> None:
    thread = later(lambda: subject.signals.heard(READY))
    subject.wait_ready(LONG)
    thread.join()
    assert subject.signals.ready


def test_a_wait_ends_at_death_with_the_consoles_last_words(subject: Guest) -> None:
    words = [f"line {n}" for n in range(30)] + ["Kernel panic - not syncing: No init found"]
    Path(subject.plan.console).write_text("\n".join(words))
    thread = later(lambda: subject.signals.died(PANIC))
    with pytest.raises(GuestLost) as caught:
        subject.wait_ready(LONG)
    thread.join()
    assert str(caught.value).startswith("lab-0123abcd-receiver is gone: powered off, or rebooted after a panic\n")
    assert "No init found" in str(caught.value)
    assert "line 3\n" not in str(caught.value)


def test_a_signal_that_came_before_the_death_counts(subject: Guest) -> None:
    subject.signals.heard(READY)
    subject.signals.died(PANIC)
    subject.wait_ready(LONG)
    assert subject.signals.death is PANIC  # the wait had reason to give up, and did not


def test_a_passed_deadline_tells_what_was_said_last(subject: Guest) -> None:
    Path(subject.plan.console).write_text("lab-init: no ctl0\n")
    subject.signals.heard('{"event":"start"}')
    with pytest.raises(DeadlinePassed) as caught:
        subject.wait_carrier(timedelta(milliseconds=20))
    told = str(caught.value)
    assert told.startswith("waited 0.02 s for carrier of lab-0123abcd-receiver; last saw: ready port ")
    assert '{"event":"start"}' in told
    assert "no ctl0" in told


def test_a_console_that_is_not_there_yet_is_empty(subject: Guest) -> None:
    assert subject.console_tail() == ""


def test_a_restored_guest_says_when_it_is_awake() -> None:
    signals = Signals()
    signals.heard(json.dumps({"event": "awake", "t": 4.5}))
    assert signals.ready


def test_the_clock_of_a_booted_guest_is_kept_beside_ours() -> None:
    signals = Signals()
    signals.heard(json.dumps({"event": "ready", "t": 4.5}))
    assert signals.clock is not None
    assert signals.clock[0] == 4.5


def test_a_guest_that_cannot_wake_is_lost(subject: Guest) -> None:
    subject.signals.heard('{"event":"refused"}')
    with pytest.raises(GuestLost, match="could not wake"):
        subject.wake("wake 1", "ssh-ed25519 BBBB", LONG)
    assert subject.signals.hostkey == "ssh-ed25519 BBBB"


def test_a_guest_that_cannot_rest_is_lost(subject: Guest) -> None:
    subject.signals.heard('{"event":"refused"}')
    with pytest.raises(GuestLost, match="could not come to rest"):
        subject.rest(LONG)


def test_orders_go_through_the_port(subject: Guest) -> None:
    ours, theirs = socket.socketpair()
    told = replace(subject, port=ours)
    with ours, theirs:

        def guest_rests() -> None:
            assert theirs.recv(100) == b"rest\n"
            told.signals.heard('{"event":"resting"}')

        thread = later(guest_rests)
        told.rest(LONG)
        thread.join()
        told.tell("wake 1")
        assert theirs.recv(100) == b"wake 1\n"
    with pytest.raises(GuestLost, match="takes no orders"):
        told.tell("rest")


def test_an_echo_that_is_lost_is_sent_again(subject: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.provision.guest.ECHO_AGAIN", timedelta(milliseconds=20))
    ours, theirs = socket.socketpair()

    def answers_the_third() -> None:
        asked = b""
        while asked.count(b"echo 198.18.1.1\n") < 3:
            asked += theirs.recv(100)
        told.signals.heard('{"event":"echo"}')

    told = replace(subject, port=ours)
    with ours, theirs:
        thread = later(answers_the_third)
        told.echo("198.18.1.1", LONG)
        thread.join()
    assert told.signals.echoes == 1


def test_a_link_that_carries_nothing_is_told(subject: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.provision.guest.ECHO_AGAIN", timedelta(milliseconds=5))
    with pytest.raises(DeadlinePassed, match=r"an echo from 198\.18\.1\.1"):
        subject.echo("198.18.1.1", timedelta(milliseconds=20))


def test_a_host_key_is_one_that_ssh_knows() -> None:
    first, second = make_hostkey(), make_hostkey()
    assert first != second
    blob = base64.b64decode(first.public.split()[1])
    assert paramiko.Ed25519Key(data=blob).get_name() == "ssh-ed25519"
    assert blob[-32:] == first.file[-32:]
    assert len(first.file) == 83


def test_a_login_key_is_one_that_ssh_takes_and_nobody_else_reads(tmp_path: Path) -> None:
    path = tmp_path / "key"
    blob = make_login_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    told = subprocess.run(["ssh-keygen", "-y", "-f", path], check=True, capture_output=True, text=True).stdout
    assert told.split()[:2] == ["ssh-ed25519", blob]
    assert len(blob) <= 127  # LOGIN_BYTES in images/guest/lab-init-wake.c
    with pytest.raises(FileExistsError):
        make_login_key(path)


def bound(tmp_path: Path, *settings: str) -> Guest:
    """A guest that lets somebody in, and has settings to make."""
    return replace(guest(tmp_path), login="AAAA", settings=settings)


def answers(subject: Guest, *lines: str) -> None:
    for line in lines:
        subject.signals.heard(line)


ADMITTED, REFUSED = '{"t": 1.1, "event": "admitted"}', '{"t": 1.1, "event": "refused"}'
SOON = timedelta(milliseconds=20)


@pytest.mark.parametrize(
    ("said", "missing"),
    [
        ((ADMITTED, '{"event":"settled","settings":2}'), READY),
        ((READY, '{"event":"settled","settings":2}'), ADMITTED),
        ((READY, ADMITTED), '{"event":"settled","settings":2}'),
    ],
)
def test_a_guest_is_ready_when_it_has_answered_all_it_was_told(
    tmp_path: Path, said: tuple[str, ...], missing: str
) -> None:
    waiting = bound(tmp_path, "mtu 9000", "up")
    answers(waiting, *said)
    with pytest.raises(DeadlinePassed):
        waiting.wait_ready(SOON)
    answers(waiting, missing)
    waiting.wait_ready(SOON)


def test_a_setting_that_is_not_in_force_is_the_hosts_trouble_and_named(tmp_path: Path) -> None:
    waiting = bound(tmp_path, "off tso", "up")
    Path(waiting.plan.console).write_text("lab-init: this setting is not in force: off tso\n")
    answers(waiting, READY, ADMITTED, REFUSED, '{"event":"settled","settings":1}')
    with pytest.raises(HostTrouble, match="not in force: off tso"):
        waiting.wait_ready(LONG)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_setting_that_was_lost_on_the_way_is_found(tmp_path: Path, count: int) -> None:
    waiting = bound(tmp_path, "off tso", "up")
    answers(waiting, READY, ADMITTED, json.dumps({"event": "settled", "settings": count}))
    with pytest.raises(HostTrouble, match=rf"it counts {count}, .*off tso"):
        waiting.wait_ready(LONG)


def test_a_guest_that_nobody_waits_for_keeps_no_thread(tmp_path: Path) -> None:
    waiting = bound(tmp_path)
    thread = later(waiting.abandon)
    with pytest.raises(GuestLost, match="nobody waits"):
        waiting.wait_ready(LONG)
    thread.join()


def test_a_guest_that_boots_is_told_everything_at_once(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        greeted = replace(bound(tmp_path, "mtu 9000", "up"), port=ours)
        greeted.greet()
        admit, *rest = theirs.recv(4096).decode().splitlines()
    assert rest == ["set mtu 9000", "set up", "settled"]
    order, hostkey, login = admit.split()
    assert (order, login) == ("admit", "AAAA")
    public = base64.b64decode(greeted.signals.hostkey.split()[1])
    assert bytes.fromhex(hostkey)[-32:] == public[-32:], "the key that we believe is the one that it was given"


def test_a_guest_that_nobody_enters_is_told_nothing(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        with ours:
            replace(guest(tmp_path), port=ours).greet()
        assert theirs.recv(10) == b""
