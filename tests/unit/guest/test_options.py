# SPDX-License-Identifier: GPL-2.0-only
"""What the guest programs say of their options."""

from __future__ import annotations

import subprocess

import pytest

from tests.unit.guest.programs import Tools


@pytest.mark.parametrize(
    ("program", "options", "complaints"),
    [
        ("zc-client", ("--behaviour", "x", "--chunk", 5000), ("--name", "--port", '"x"', "4096")),
        ("zc-client", ("--behaviour", "map", "--name", "t", "--port", 70000, "--ring", 1), ("65535", "--ring")),
        ("zc-client", ("--behaviour", "drop", "--verify"), ("drop sees no byte", "--name")),
        ("zc-sender", ("--to", "host", "--bytes", "-1", "--what"), ("--port", '"host"', '"-1"', "--what")),
        ("zc-sender", ("--to",), ("--to needs", "--port")),
        ("lab-telemetry", ("--pages",), ("--once", "--pages")),
        ("lab-telemetry", ("--once", "x", "--interval", 5), ("--once goes without",)),
    ],
)
def test_bad_options_are_all_named_at_once(
    tools: Tools, program: str, options: tuple[object, ...], complaints: tuple[str, ...]
) -> None:
    last, status = tools.run(program, *options)
    assert (last.event, status) == ("error", 2)
    for complaint in complaints:
        assert complaint in last.text("message")


@pytest.mark.parametrize("program", ["zc-client", "zc-sender", "lab-telemetry"])
def test_help_tells_every_option(tools: Tools, program: str) -> None:
    done = subprocess.run([str(tools.path / program), "--help"], capture_output=True, text=True, check=True)
    assert "Options:" in done.stdout
    assert all(len(line) <= 110 for line in done.stdout.splitlines())
