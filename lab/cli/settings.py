# SPDX-License-Identifier: GPL-2.0-only
"""`lab.toml`: defaults of options, a table for each command. An environment variable wins over it, and so does what is
typed. docs/settings.md says where it is looked for."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

from lab.errors import BadInput

CONFIG, FILE = "LAB_CONFIG", "lab.toml"
NEVER = ("help", "for-bisect", "version")
"""Options of one command line: what git hears of an error is decided before a file is read."""
HINT = "docs/settings.md; LAB_CONFIG= (empty) goes without a file"


def settings_file() -> Path | None:
    """The file that `LAB_CONFIG` names; else lab.toml where the user is, else that of his configuration. None for none.

    Raises BadInput where `LAB_CONFIG` names a file that is not there.
    """
    if (chosen := os.environ.get(CONFIG)) is not None:
        path = Path(chosen).expanduser().absolute()
        if chosen and not path.is_file():
            raise BadInput([f"{CONFIG}={chosen}: there is no such file"], hint=HINT)
        return path if chosen else None
    places = (Path(FILE).absolute(), Path(platformdirs.user_config_dir("lab")) / FILE)
    return next((path for path in places if path.is_file()), None)


def read(path: Path) -> dict[str, Any]:
    """The tables of a file, whatever they hold. Raises BadInput."""
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError) as exc:  # a file in another encoding is a ValueError, and so is bad TOML
        raise BadInput([f"{path}: cannot be read: {exc}"], hint=HINT) from exc


def defaults(path: Path, tables: Mapping[str, Any], group: Any) -> dict[str, Any]:  # noqa: ANN401 - see lab.cli.exits
    """The tables of a file by command and parameter, as a click context takes them. Raises BadInput with all that is
    wrong with them."""
    problems: list[str] = []
    found = _of_group(group, tables, "", problems)
    if problems:
        raise BadInput([f"{path}: {problem}" for problem in problems], hint=HINT)
    return found


def named(table: Mapping[str, Any], within: str = "") -> list[str]:
    """The options of a command, or of the commands of a group, that a table gives defaults of."""
    return [
        text
        for key, value in table.items()
        for text in (named(value, f"{key} ") if isinstance(value, dict) else [f"{within}{key}"])
    ]


def _of_group(group: Any, tables: Mapping[str, Any], within: str, problems: list[str]) -> dict[str, Any]:  # noqa: ANN401
    """`within` is how the table of the group is called, with a dot behind; "" for the file itself."""
    found: dict[str, Any] = {}
    for name, table in tables.items():
        command = group.commands.get(name)
        if command is None:
            problems.append(f"{within}{name}: no such command{_close(name, group.commands)}")
        elif not isinstance(table, dict):
            problems.append(f"{within}{name}: a table of options is wanted: [{within}{name}]")
        elif hasattr(command, "commands"):
            found[name] = _of_group(command, table, f"{within}{name}.", problems)
        else:
            found[name] = _of_command(command, table, f"{within}{name}.", problems)
    return found


def _of_command(command: Any, table: Mapping[str, Any], within: str, problems: list[str]) -> dict[str, Any]:  # noqa: ANN401
    known = {
        option.removeprefix("--"): param
        for param in command.params
        for option in param.opts
        if option.startswith("--") and option.removeprefix("--") not in NEVER
    }
    found: dict[str, Any] = {}
    for name, value in table.items():
        if name not in known:
            problems.append(f"{within}{name}: no such option{_close(name, known)}")
            continue
        try:
            found[known[name].name] = _fitting(known[name], value)
        except ValueError as exc:
            problems.append(f"{within}{name}: {exc}")
    return found


def _fitting(param: Any, value: object) -> Any:  # noqa: ANN401
    """A value as it would be typed. Raises ValueError where the option does not take it."""
    if param.is_flag:
        if not isinstance(value, bool):
            raise ValueError("true or false is wanted")
        return value
    values = value if isinstance(value, list) else [value]
    if isinstance(value, list) and not param.multiple:
        raise ValueError("one value is wanted, not a list")
    if any(isinstance(each, bool) or not isinstance(each, str | int | float) for each in values):
        raise ValueError("a text or a number is wanted" + (", or a list of them" if param.multiple else ""))
    typed = [str(each) for each in values] if param.multiple else str(value)
    try:
        param.process_value(None, typed)
    except Exception as exc:
        raise ValueError(getattr(exc, "message", str(exc))) from exc  # click's own class, which typer keeps to itself
    return typed


def _close(name: str, known: Mapping[str, object]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; close: {near[0]}" if near else ""
