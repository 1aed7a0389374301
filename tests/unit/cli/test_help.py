# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

import lab.cli
from lab.cli import COMMANDS, assembled, named
from lab.cli.exits import LAB_FAILED, UNTESTABLE, LabGroup, told
from lab.errors import BadInput, HostTrouble
from lab.host.version import lab_version
from tests.unit.cli.conftest import Lab


def test_plain_lab_shows_help_with_every_command_and_every_exit_code(lab: Lab) -> None:
    helped = lab("--help")
    assert helped.exit_code == 0
    assert all(f" {name} " in helped.stdout for name in COMMANDS)
    codes = helped.stdout.partition("Exit codes")[2]
    assert [line.split()[0] for line in codes.splitlines() if line.strip()] == ["0", "1", "2", "3"]
    assert "Exit codes" in lab().output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_that_fits_80_columns(lab: Lab, command: str) -> None:
    helped = lab(command, "--help")
    assert helped.exit_code == 0
    assert max(map(len, helped.stdout.splitlines())) <= 80


def test_the_version_has_the_commit_of_a_checkout(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab_version.cache_clear()
    monkeypatch.setattr("lab.host.version._commit", lambda: "259570e1a2b3.dirty")
    assert re.fullmatch(r"lab \d+\.\d+\.\d+\+g259570e1a2b3\.dirty\n", lab("--version").stdout)
    lab_version.cache_clear()
    monkeypatch.setattr("lab.host.version._commit", lambda: "")
    assert re.fullmatch(r"lab \d+\.\d+\.\d+\n", lab("--version").stdout)
    lab_version.cache_clear()


FIXED = {
    "accel": {"auto", "kvm", "tcg"},
    "family": {"ipv4", "ipv6"},
    "carrier": {"parallel", "local"},
    "connect": {"embed", "qemu:///session", "qemu:///system"},
    "role": {"receiver", "sender"},
    "expect": {"PASS", "FAIL", "ERROR", "DONE"},
    "nic": {"virtio", "e1000e-split", "vmxnet3"},
    "suite": {"default", "fast", "thread"},
    "design": {"stock", "precharge"},
}
"""What the shell offers for an option of this name, wherever there is one; of open sets, some."""


def _options(group: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - a click class
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from ((f"{name} {within}", param) for within, param in _options(command))
        else:
            yield from ((name, param) for param in command.params)


def test_every_option_with_a_fixed_set_completes_it() -> None:
    everything: Any = get_command(assembled())
    seen: set[str] = set()
    context = everything.make_context("lab", ["nics"], resilient_parsing=True)
    for command, param in _options(everything):
        if param.name in FIXED and param.param_type_name == "option":
            offered = {item.value for item in param.shell_complete(context, "")}
            assert FIXED[param.name] <= offered, f"lab {command} --{param.name}"
            assert [item.value for item in param.shell_complete(context, "nosuch")] == []
            seen.add(param.name)
    assert seen == set(FIXED)


def _app_that_raises(exc: BaseException) -> typer.Typer:
    broken = typer.Typer(cls=LabGroup)

    @broken.callback()
    def group() -> None:
        """Makes it a group of one."""

    @broken.command()
    def command() -> None:
        raise exc

    return broken


@pytest.mark.parametrize(
    ("exc", "code", "words"),
    [
        (
            BadInput(["one thing.", "another."], hint="this"),
            2,
            ["2 problems", "- one thing.", "- another.", "try: this"],
        ),
        (HostTrouble("no tool", hint="make setup"), 3, ["lab: no tool", "try: make setup"]),
        (OSError(28, "No space left on device", "/x"), 3, ["No space left on device: /x"]),
    ],
)
def test_errors_are_told_on_standard_error_without_a_traceback(exc: Exception, code: int, words: list[str]) -> None:
    ended = CliRunner().invoke(_app_that_raises(exc), ["command"])
    assert ended.exit_code == code
    assert ended.stdout == ""
    assert all(word in ended.stderr for word in words)
    assert "Traceback" not in ended.stderr


def test_a_fault_of_ours_is_not_swallowed() -> None:
    ended = CliRunner().invoke(_app_that_raises(ZeroDivisionError()), ["command"])
    assert isinstance(ended.exception, ZeroDivisionError)


def test_an_interrupt_is_130_without_a_traceback() -> None:
    ended = CliRunner().invoke(_app_that_raises(KeyboardInterrupt()), ["command"])
    assert ended.exit_code == 130
    assert "Traceback" not in ended.output


def test_one_problem_takes_one_line() -> None:
    assert told(BadInput(["it is wrong."])) == "lab: it is wrong."


def test_unknown_commands_and_options_are_bad_input(lab: Lab) -> None:
    assert lab("bogus").exit_code == 2
    assert lab("nics", "--bogus").exit_code == 2


def test_the_group_has_shell_completion() -> None:
    assert "--show-completion" in CliRunner().invoke(assembled(), ["--help"]).stdout


@pytest.mark.parametrize(
    ("argv", "environ", "command"),
    [
        (["lab"], {}, ""),
        (["lab", "run", "hold"], {}, "run"),
        (["lab", "--help"], {}, "--help"),
        (["lab"], {"COMP_WORDS": "lab run ho", "COMP_CWORD": "2"}, "run"),
        (["lab"], {"COMP_WORDS": "lab kernel ", "COMP_CWORD": "2"}, "kernel"),
        (["lab"], {"COMP_WORDS": "lab kernel", "COMP_CWORD": "1"}, ""),
        (["lab"], {"COMP_WORDS": "lab kernel hold", "COMP_CWORD": "1"}, ""),
        (["lab"], {"_TYPER_COMPLETE_ARGS": "lab nics --nic v"}, "nics"),
        (["lab"], {"_TYPER_COMPLETE_ARGS": "lab kernel"}, ""),
    ],
)
def test_the_command_that_is_meant_is_known_before_any_is_imported(
    argv: list[str], environ: dict[str, str], command: str
) -> None:
    completing = {"_LAB_COMPLETE": "complete_bash"} if environ else {}
    assert named(argv, completing | environ) == command


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_was_imported_alone_is_the_same(command: str) -> None:
    alone, among = (CliRunner().invoke(app, [command, "--help"]) for app in (assembled(command), assembled()))
    assert alone.exit_code == 0
    assert alone.stdout == among.stdout


@pytest.mark.parametrize(("more", "code"), [([], LAB_FAILED), (["--for-bisect"], UNTESTABLE)])
def test_a_fault_of_the_lab_itself_is_no_verdict(
    more: list[str], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr("lab.cli.assembled", lambda _: broken)
    monkeypatch.setattr("sys.argv", ["lab", "run", *more])
    with pytest.raises(SystemExit) as ended:
        lab.cli.main()
    assert ended.value.code == code
    assert "ZeroDivisionError: a fault" in capsys.readouterr().err


@pytest.mark.parametrize(("more", "code"), [([], LAB_FAILED), (["--for-bisect"], UNTESTABLE)])
def test_a_lab_that_cannot_even_be_imported_is_no_verdict(more: list[str], code: int) -> None:
    """Python itself would exit with 1."""
    script = "import sys; sys.modules['lab.cli'] = None; from lab.__main__ import main; main()"
    ended = subprocess.run([sys.executable, "-c", script, "run", *more], check=False, capture_output=True, text=True)
    assert (ended.returncode, "ModuleNotFoundError" in ended.stderr) == (code, True)


INTERRUPTED_IMPORT = """
import os, signal, sys
class Interrupt:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == "lab.cli":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt)
from lab.__main__ import main
main()
"""


INTERRUPTED_END = """
import atexit, os, signal, sys
import lab.cli
atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))
lab.cli.main = lambda: sys.exit(3)
from lab.__main__ import main
main()
"""


def test_an_interrupt_when_all_is_done_changes_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED_END], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"", b"")


INTERRUPTED_START = """
import lab.cli
def main():
    raise KeyboardInterrupt
lab.cli.main = main
from lab.__main__ import main
main()
"""


def test_an_interrupt_before_there_is_a_command_is_130_without_a_traceback() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED_START], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_an_interrupt_before_there_is_anything_to_tidy_up_says_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED_IMPORT], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")
