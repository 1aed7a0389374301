# SPDX-License-Identifier: GPL-2.0-only
"""Config fragments: parsed, merged, and compared with the config that came of them. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lab.errors import BadInput

_SET = re.compile(r"(CONFIG_\w+)=(y|m|n|-?\d+|0x[0-9a-fA-F]+|\".*\")")
_UNSET = re.compile(r"# (CONFIG_\w+) is not set")


FORM = "a fragment has lines like CONFIG_X=y and # CONFIG_Y is not set"
NO_MODULES = "leave CONFIG_MODULES out; what is =m is built in"


@dataclass(frozen=True)
class Fragment:
    """A file of options. One whose first line begins with `# overlay` may say otherwise than those before it."""

    name: str
    text: str

    @property
    def is_overlay(self) -> bool:
        return self.text.startswith("# overlay")


@dataclass(frozen=True)
class Option:
    """One option as a fragment asks for it: `y` (also: `m`), `n` (also: not set), a number or a quoted string."""

    name: str
    value: str
    fragment: str
    line: int

    @property
    def where(self) -> str:
        return f"{self.fragment}:{self.line}"


def as_modules(fragment: Fragment) -> int:
    """How many options a fragment asks for as modules; `parse` takes them as built in."""
    return sum(
        line.strip().endswith("=m") and _SET.fullmatch(line.strip()) is not None for line in fragment.text.splitlines()
    )


def parse(fragment: Fragment) -> tuple[Option, ...]:
    """Every option of a fragment. Raises BadInput with each line that is none, and each option set twice."""
    options: dict[str, Option] = {}
    problems: list[str] = []
    for number, raw in enumerate(fragment.text.splitlines(), start=1):
        line = raw.strip()
        unset, set_to = _UNSET.fullmatch(line), _SET.fullmatch(line)
        if unset is None and (not line or line.startswith("#")):
            continue
        if unset is None and set_to is None:
            problems.append(f"{fragment.name}:{number}: not an option: {line!r}.")
            continue
        name, value = (unset[1], "n") if unset else (set_to[1], set_to[2]) if set_to else ("", "")
        if (name, value) == ("CONFIG_MODULES", "y"):
            problems.append(f"{fragment.name}:{number}: CONFIG_MODULES=y, but the lab builds no modules.")
        option = Option(name, "y" if value == "m" else value, fragment.name, number)
        value = option.value
        before = options.setdefault(name, option)
        if before.value != value:
            problems.append(f"{option.where}: {name}={value}, but line {before.line} says {before.value}.")
    if problems:
        is_line = any("CONFIG_MODULES=y, but" not in problem for problem in problems)
        raise BadInput(problems, hint=FORM if is_line else NO_MODULES)
    return tuple(options.values())


def merge(fragments: Sequence[Fragment]) -> dict[str, Option]:
    """What all fragments together ask for. Raises BadInput when two contradict and the later is no overlay."""
    wanted: dict[str, Option] = {}
    problems: list[str] = []
    for fragment in fragments:
        for option in parse(fragment):
            before = wanted.get(option.name)
            if before and before.value != option.value and not fragment.is_overlay:
                problems.append(
                    f"{option.where} asks for {option.name}={option.value}, {before.where} for {before.value}."
                )
            wanted[option.name] = option
    if problems:
        raise BadInput(problems, hint="a fragment that begins with the line `# overlay` may contradict earlier ones")
    return wanted


def written(wanted: Mapping[str, Option]) -> str:
    """The merged fragments as one, for KCONFIG_ALLCONFIG."""
    return "".join(line(o.name, o.value) + "\n" for o in wanted.values())


def line(name: str, value: str) -> str:
    """An option as a config file has it."""
    return f"# {name} is not set" if value == "n" else f"{name}={value}"


def values(config: str) -> dict[str, str]:
    """Options of a finished config; what is not in it counts as `n`."""
    pairs = (text.partition("=") for text in config.splitlines() if text.startswith("CONFIG_"))
    return {name: value for name, _, value in pairs}


def lost(wanted: Iterable[Option], have: Mapping[str, str]) -> tuple[Option, ...]:
    """The options that did not survive."""
    return tuple(option for option in wanted if have.get(option.name, "n") != option.value)
