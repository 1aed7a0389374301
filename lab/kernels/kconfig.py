# SPDX-License-Identifier: GPL-2.0-only
"""Enough of the Kconfig language to say why an option has its value. No I/O: files come through a function.

kconfig itself decides the values; this only reads dependencies, selects and defaults to explain them. Of the libraries,
kconfiglib 14.1 does not read the `modules` statement that Linux has since 5.13.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

_TOKEN = re.compile(r'\s*(&&|\|\||!=|<=|>=|[!()=<>]|"(?:[^"\\]|\\.)*"|\'[^\']*\'|\$\([^)]*\)|[\w./-]+)')
_PROMPT = re.compile(r'(?:"(?:[^"\\]|\\.)*"|\'[^\']*\')(?:\s+if\s+(.*))?$')
_TYPES = ("bool", "boolean", "tristate", "int", "hex", "string")
_LEVELS = {"n": 0, "m": 1, "y": 2}


@dataclass(frozen=True)
class Conditional:
    """Something under a condition ("" for none): a default value, a selecting option, a prompt."""

    what: str
    condition: str
    where: str


@dataclass
class Definition:
    """One `config` block, with what the blocks around it ask for."""

    where: str
    depends: list[str] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    defaults: list[Conditional] = field(default_factory=list)


@dataclass
class Symbol:
    """An option, without the prefix CONFIG_."""

    name: str
    definitions: list[Definition] = field(default_factory=list)
    selected_by: list[Conditional] = field(default_factory=list)


@dataclass
class _Scope:
    """What surrounds a line: conditions of `if` and `menu`, and of `choice`."""

    kind: str
    depends: list[str] = field(default_factory=list)


class Kconfig:
    """All options that the Kconfig files of a tree define. Raises nothing: what is not understood is passed over."""

    def __init__(self, read: Callable[[str], str | None], arch: str = "x86") -> None:
        self.symbols: dict[str, Symbol] = {}
        self._read, self._arch = read, arch
        self._scopes: list[_Scope] = []
        self._current: Definition | None = None
        self._name = ""
        self._file("Kconfig")

    def symbol(self, name: str) -> Symbol | None:
        return self.symbols.get(name.removeprefix("CONFIG_"))

    def _file(self, path: str) -> None:
        for number, line in statements(self._read(path) or ""):
            self._statement(line, f"{path}:{number}")

    def _statement(self, line: str, where: str) -> None:
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        if word in ("source", "rsource", "osource"):
            self._file(rest.strip("\"'").replace("$(SRCARCH)", self._arch).replace("$SRCARCH", self._arch))
        elif word in ("config", "menuconfig"):
            self._begin(rest, where)
        elif word in ("if", "menu", "choice"):
            self._scopes.append(_Scope(word, [rest] if word == "if" else []))
            self._current, self._name = None, ""
        elif word in ("endif", "endmenu", "endchoice"):
            if self._scopes:
                self._scopes.pop()
            self._current, self._name = None, ""
        elif word == "comment":
            self._current, self._name = Definition(where), ""
        else:
            self._attribute(word, rest, where)

    def _begin(self, name: str, where: str) -> None:
        self._name = name
        self._current = Definition(where, depends=[d for scope in self._scopes for d in scope.depends])
        self.symbols.setdefault(name, Symbol(name)).definitions.append(self._current)

    def _attribute(self, word: str, rest: str, where: str) -> None:
        if word == "depends" and rest.startswith("on "):
            self._depends(rest[3:].strip())
        elif word == "select" and self._name:
            target, condition = _split_if(rest)
            self.symbols.setdefault(target, Symbol(target)).selected_by.append(
                Conditional(self._name, condition, where)
            )
        elif self._current is None:
            return
        elif word in ("default", "def_bool", "def_tristate"):
            self._current.defaults.append(Conditional(*_split_if(rest), where))
        elif word in (*_TYPES, "prompt") and (prompt := _PROMPT.match(rest)):
            self._current.prompts.append((prompt[1] or "").strip())

    def _depends(self, expression: str) -> None:
        if self._current is not None:
            self._current.depends.append(expression)
        elif self._scopes:
            self._scopes[-1].depends.append(expression)


def statements(text: str) -> Iterator[tuple[int, str]]:
    """Line number and text of each statement: continued lines joined, help texts and comments left out."""
    help_at: int | None = None  # indentation of the keyword; -1 - n once the text's own n is known
    held, first = "", 0
    for number, raw in enumerate(text.expandtabs().splitlines(), start=1):
        line = held + raw
        if held == "":
            first = number
        if line.endswith("\\"):
            held = line[:-1]
            continue
        held = ""
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        if help_at is not None and stripped:
            help_at = -1 - indent if help_at >= 0 and indent > 0 else help_at
            if help_at < 0 and indent >= -1 - help_at:
                continue
            help_at = None
        if stripped in ("help", "---help---"):
            help_at = indent
        elif stripped and not stripped.startswith("#"):
            yield first, re.sub(r"\s+#(?=\s).*$", "", stripped)


def evaluate(expression: str, have: Mapping[str, str]) -> str:
    """`y`, `m` or `n` of an expression; what needs a compiler to know counts as `y`. have: names with CONFIG_."""
    tokens = [*(_TOKEN.findall(expression) or ["y"]), ""]
    level, _ = _either(tokens, 0, have)
    return {0: "n", 1: "m", 2: "y"}[level]


def conjuncts(expression: str) -> tuple[str, ...]:
    """The parts of an expression that must all hold."""
    parts, depth, part = [], 0, ""
    for token in _TOKEN.findall(expression):
        depth += {"(": 1, ")": -1}.get(token, 0)
        if token == "&&" and depth == 0:  # noqa: S105 - an operator
            parts.append(part.strip())
            part = ""
        else:
            part += f" {token} "
    return tuple(_tidy(p) for p in [*parts, part] if p.strip())


def _tidy(expression: str) -> str:
    return re.sub(r"(?<=[(!]) | (?=\))", "", re.sub(r"\s+", " ", expression).strip())


def names_in(expression: str) -> tuple[str, ...]:
    """Options that an expression mentions."""
    return tuple(dict.fromkeys(t for t in _TOKEN.findall(expression) if re.fullmatch(r"[A-Z0-9_]{2,}\w*", t)))


def _either(tokens: list[str], at: int, have: Mapping[str, str]) -> tuple[int, int]:
    level, at = _both(tokens, at, have)
    while tokens[at] == "||":
        other, at = _both(tokens, at + 1, have)
        level = max(level, other)
    return level, at


def _both(tokens: list[str], at: int, have: Mapping[str, str]) -> tuple[int, int]:
    level, at = _one(tokens, at, have)
    while tokens[at] == "&&":
        other, at = _one(tokens, at + 1, have)
        level = min(level, other)
    return level, at


def _one(tokens: list[str], at: int, have: Mapping[str, str]) -> tuple[int, int]:
    token = tokens[at]
    if token == "!":  # noqa: S105 - an operator
        level, at = _one(tokens, at + 1, have)
        return 2 - level, at
    if token == "(":  # noqa: S105 - an operator
        level, at = _either(tokens, at + 1, have)
        return level, min(at + 1, len(tokens) - 1)
    if at + 2 < len(tokens) and tokens[at + 1] in ("=", "!=", "<", ">", "<=", ">="):
        return _compared(_value(token, have), tokens[at + 1], _value(tokens[at + 2], have)), at + 3
    return _LEVELS.get(_value(token, have), 2), min(at + 1, len(tokens) - 1)


def _compared(left: str, operator: str, right: str) -> int:
    if operator in ("=", "!="):
        return 2 if (left == right) == (operator == "=") else 0
    try:
        a, b = int(left, 0), int(right, 0)
    except ValueError:
        return 2
    return 2 if {"<": a < b, ">": a > b, "<=": a <= b, ">=": a >= b}[operator] else 0


def _value(token: str, have: Mapping[str, str]) -> str:
    """A literal, or the value of an option; `y` for a macro, which only kconfig can run."""
    if token.startswith("$("):
        return "y"
    if token.startswith(('"', "'")):
        return token[1:-1]
    if token in _LEVELS or token.lstrip("-").isdigit() or token.startswith("0x"):
        return token
    return have.get(f"CONFIG_{token}", "n").strip('"')


def _split_if(text: str) -> tuple[str, str]:
    value, _, condition = text.partition(" if ")
    return value.strip(), condition.strip()
