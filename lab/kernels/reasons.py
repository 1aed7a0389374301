# SPDX-License-Identifier: GPL-2.0-only
"""Why an option has its value, in words: who asked, what selected it, which dependency is not met. No I/O."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from lab.kernels.kconfig import Conditional, Definition, Kconfig, Symbol, conjuncts, evaluate, names_in

Values = Mapping[str, str]


def why_lost(kconfig: Kconfig, name: str, wanted: str, have: Values) -> str:
    """Why an option that a fragment asks for does not have the value it asks for."""
    symbol = kconfig.symbol(name)
    if symbol is None or not symbol.definitions:
        return f"no Kconfig file of this base has it{_close(name, kconfig)}"
    value = have.get(name, "n")
    reasons = _unmet(symbol, have) if wanted != "n" and value == "n" else _forced(symbol, have)
    return "; ".join(reasons) or _elsewise(symbol, have)


def explain(kconfig: Kconfig, name: str, have: Values) -> tuple[str, ...]:
    """What decided the value of an option that no fragment asks for, and what it would need."""
    symbol = kconfig.symbol(name)
    if symbol is None or not symbol.definitions:
        return (f"no Kconfig file of this base has it{_close(name, kconfig)}",)
    if have.get(name, "n") == "n":
        return (*(_unmet(symbol, have) or (_not_asked(symbol),)), *_defined(symbol))
    return (*(_forced(symbol, have) or _defaults(symbol, have) or (_elsewise(symbol, have),)), *_defined(symbol))


def _unmet(symbol: Symbol, have: Values) -> tuple[str, ...]:
    """Dependencies that are not met, of the definition that lacks least."""
    lacking = [
        [c for d in defined.depends for c in conjuncts(d) if evaluate(c, have) == "n"] for defined in symbol.definitions
    ]
    least = min(range(len(lacking)), key=lambda i: len(lacking[i]))
    where = symbol.definitions[least].where
    unmet = tuple(f"depends on {c} ({_values(c, have)}) at {where}" for c in dict.fromkeys(lacking[least]))
    if unmet or any(_visible(d, have) for d in symbol.definitions):
        return unmet
    return (f"cannot be asked for here: {_who_could(symbol, have)}",)


def _forced(symbol: Symbol, have: Values) -> tuple[str, ...]:
    """What selects it."""
    return tuple(
        f"selected by {s.what} at {s.where}" + (f" if {s.condition}" if s.condition else "")
        for s in symbol.selected_by
        if _is_active(s, have)
    )


def _is_active(select: Conditional, have: Values) -> bool:
    is_on = have.get(f"CONFIG_{select.what}", "n") != "n"
    return is_on and (not select.condition or evaluate(select.condition, have) != "n")


def _defaults(symbol: Symbol, have: Values) -> tuple[str, ...]:
    for definition in symbol.definitions:
        for default in definition.defaults:
            if not default.condition or evaluate(default.condition, have) != "n":
                condition = f" if {default.condition}" if default.condition else ""
                return (f"its default is {default.what}{condition} at {default.where}",)
    return ()


def _elsewise(symbol: Symbol, have: Values) -> str:
    told = _defaults(symbol, have)
    if told and not any(_visible(d, have) for d in symbol.definitions):
        return f"{told[0]}, and its prompt is hidden here"
    return told[0] if told else "its dependencies are met: a choice took another, or its range does not hold the value"


def _visible(definition: Definition, have: Values) -> bool:
    """Whether a fragment can set it here: it has a prompt, and the prompt's condition holds."""
    return any(not p or evaluate(p, have) != "n" for p in definition.prompts)


def _who_could(symbol: Symbol, have: Values) -> str:
    hidden = [c for d in symbol.definitions for p in d.prompts for c in conjuncts(p) if evaluate(c, have) == "n"]
    if hidden:
        return f"its prompt needs {hidden[0]} ({_values(hidden[0], have)})"
    by = ", ".join(dict.fromkeys(s.what for s in symbol.selected_by)) or "nothing"
    return f"it has no prompt, and is selected only by {by}"


def _not_asked(symbol: Symbol) -> str:
    return "its dependencies are met, but no fragment asks for it"


def _defined(symbol: Symbol) -> tuple[str, ...]:
    return (f"defined at {', '.join(d.where for d in symbol.definitions)}",)


def _values(expression: str, have: Values) -> str:
    return ", ".join(f"{name}={have.get(f'CONFIG_{name}', 'n')}" for name in names_in(expression)) or "never here"


def _close(name: str, kconfig: Kconfig) -> str:
    close = difflib.get_close_matches(name.removeprefix("CONFIG_"), kconfig.symbols, n=2, cutoff=0.8)
    return f"; close: {', '.join(close)}" if close else ""
