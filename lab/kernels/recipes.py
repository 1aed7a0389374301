# SPDX-License-Identifier: GPL-2.0-only
"""From a name to a recipe: series and fragments under images/kernels, and the kernels that users named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from lab.errors import BadInput, tried
from lab.experiments.found import all_designs
from lab.host.paths import cache_root, project_root
from lab.host.records import read_record, tell, write_record
from lab.kernels.base import Base, find_base
from lab.kernels.delivered import read_series
from lab.kernels.fragments import Fragment, as_modules, parse
from lab.kernels.given import name_given, read_fragment, series_given
from lab.kernels.naming import DEFAULT_BASE, OWN_NAME, BuildName, means_packaged, parse_name
from lab.kernels.ranges import version_of
from lab.kernels.recipe import Recipe
from lab.kernels.series import Patch, Series

GUEST = "guest"
_NOT_SERIES = ("config", "mutants")


def images() -> Path:
    """Where designs, overlays, mutants and fragments lie."""
    return project_root() / "images" / "kernels"


def own_names() -> tuple[str, ...]:
    """Names that users gave to kernels with --name."""
    return tuple(sorted(path.stem for path in _own_dir().glob("*.json") if not means_packaged(path.stem)))


def designs() -> tuple[str, ...]:
    """Designs that can be built: stock, and those with a series."""
    return tuple(name for name in all_designs() if name == "stock" or _has_series(images() / name))


def overlays() -> tuple[str, ...]:
    """What may follow a `+`: config fragments and series that stack on any design."""
    configs = [p.stem for p in (images() / "config").glob("*.config") if p.stem != GUEST]
    series = [p.name for p in images().iterdir() if p.name not in (*all_designs(), *_NOT_SERIES) and _has_series(p)]
    return tuple(sorted([*configs, *series]))


def mutants(base: str = "") -> tuple[BuildName, ...]:
    """Every one-defect patch that may be for a base, as the kernel it would make on it: the directory names the kernel
    it goes on. One in a directory of a line below that is for that line and what comes after."""
    at = version_of(base or DEFAULT_BASE)
    found = {}
    for directory in sorted((images() / "mutants").iterdir()) if (images() / "mutants").is_dir() else ():
        on = parse_name(directory.name)
        for patch in (*directory.glob("*.patch"), *directory.glob("*/*.patch")):
            if on is not None and _is_for(directory, patch, at):
                name = BuildName("" if base == DEFAULT_BASE else base, on.stem, on.overlays, patch.stem)
                found[directory.name, patch.stem] = name
    return tuple(found[key] for key in sorted(found))


def mutant_patch(parts: BuildName) -> Path | None:
    """Where the patch of a mutant lies that was made for its kernel, with the overlays that are series: of several that
    for the newest line that is not later than the base's. Only one for a later line is there: that. None: none is.
    Whether it fits the base is another question."""
    at = version_of(parts.base or DEFAULT_BASE)
    stacked = [w for w in parts.overlays if not (images() / "config" / f"{w}.config").is_file()]
    for on in ("+".join((parts.stem, *stacked)), parts.stem):
        directory, name = images() / "mutants" / on, f"{parts.mutant}.patch"
        lines = _lines(directory, name)
        fitting = [line for line in sorted(lines, reverse=True) if at is None or line <= at]
        later = [line for line in sorted(lines) if line not in fitting]
        places = [*(lines[line] for line in fitting), directory, *(lines[line] for line in later)]
        if found := next((path for path in places if (path / name).is_file()), None):
            return found / name
    return None


def _is_for(directory: Path, patch: Path, at: tuple[int, int] | None) -> bool:
    """Whether a mutant may be for a base of that version; None, a tree whose version its name does not tell, may."""
    line = version_of(patch.parent.name) if patch.parent != directory else None
    return line is None or at is None or line <= at


def is_buildable(name: str) -> bool:
    """Whether a name means a kernel the lab builds, though perhaps one with a mistake in it."""
    parts = parse_name(name)
    return parts is not None and (parts.stem in all_designs() or parts.stem in own_names())


def recipe_of(name: str) -> Recipe:
    """The recipe that a name means. Raises BadInput with every part that does not exist, HostTrouble."""
    parts = parse_name(name)
    if parts is None:
        raise BadInput([f"kernel {name!r}: not a name; write [BASE:]DESIGN[+OVERLAY...][~MUTANT]."])
    problems: list[str] = []
    start = _start(parts, problems)
    series, fragments = _overlaid(parts, start.base if start else None, problems)
    mutant = _mutant(parts, problems)
    if problems or start is None:
        raise BadInput(problems, hint="lab kernel list")
    return Recipe(
        name=str(parts),
        design=start.design,
        base=start.base,
        series=start.series + series + mutant,
        fragments=(*start.fragments, *fragments),
    )


def custom(base: str, series: str, configs: Sequence[Path], name: str, *, refresh: bool = False) -> Recipe:
    """A recipe of the user's own. Raises BadInput with every problem."""
    problems, hints = list[str](), list[str]()
    found = tried(problems, lambda: find_base(base or DEFAULT_BASE, refresh=refresh), hints)
    patches = tried(problems, lambda: series_given(series), hints) if series else Series()
    read = [tried(problems, partial(read_fragment, path), hints) for path in configs]
    fragments = [f for f in read if f is not None and tried(problems, partial(parse, f), hints) is not None]
    own, wrong = name_given(name, base, series)
    if not OWN_NAME.fullmatch(own):
        problems.append(f"--name {own!r}: letters, digits, dots, dashes and underscores only.")
    if own in all_designs():
        problems.append(f"--name {own!r}: that is a design; choose another name.")
    problems += [wrong] if wrong else []
    if problems or found is None or patches is None:
        raise BadInput(problems, hint="; ".join(dict.fromkeys(hints)) or "lab kernel build --help")
    for fragment in fragments:
        if count := as_modules(fragment):
            options = "option" if count == 1 else "options"
            tell(f"{fragment.name}: {count} {options} =m: built in, the lab builds no modules")
    return Recipe(own, "stock", found, patches, (_guest(), *fragments))


def remember(recipe: Recipe) -> None:
    """Let a recipe be named from now on, also when the files it came from are gone."""
    record = {
        "design": recipe.design,
        "base": recipe.base.as_record(),
        "series": [asdict(p) for p in recipe.series.patches],
        "fragments": [asdict(f) for f in recipe.fragments],
    }
    write_record(_own_dir() / f"{recipe.name}.json", record)


def forget(names: Sequence[str]) -> None:
    """Let names given by --name mean nothing again; what was built stays. Raises BadInput, and forgets none, when one
    is not such a name."""
    known = own_names()
    strangers = [name for name in dict.fromkeys(names) if name not in known]
    if strangers:
        there = ", ".join(known) or "none"
        raise BadInput([f"no kernel was built with --name {n!r}; there are {there}." for n in strangers])
    for name in dict.fromkeys(names):
        (_own_dir() / f"{name}.json").unlink(missing_ok=True)


@dataclass(frozen=True)
class _Start:
    """What the first part of a name stands for."""

    design: str
    base: Base
    series: Series
    fragments: tuple[Fragment, ...]


def _start(parts: BuildName, problems: list[str]) -> _Start | None:
    if parts.stem in all_designs():
        if parts.stem not in designs():
            problems.append(f"kernel {parts}: there is no series {images() / parts.stem}.")
            return None
        base = tried(problems, lambda: find_base(parts.base or DEFAULT_BASE))
        if base is None:
            return None
        series = Series() if parts.stem == "stock" else _series(parts, parts.stem, base, problems)
        return _Start(parts.stem, base, series, (_guest(),))
    if parts.stem not in own_names():
        problems.append(f"kernel {parts}: no design and no kernel built with --name is called {parts.stem!r}.")
        return None
    kept = read_record(_own_dir() / f"{parts.stem}.json", _kept)
    if kept is None:
        problems.append(
            f"kernel {parts}: the record of --name {parts.stem} is damaged; build it under that name again."
        )
        return None
    base = tried(problems, lambda: find_base(parts.base)) if parts.base else kept.base
    return replace(kept, base=base) if base else None


def _kept(record: Mapping[str, Any]) -> _Start:
    """Raises KeyError or TypeError for what `remember` did not write."""
    series = Series(tuple(Patch(**{**p, "options": tuple(p.get("options", ()))}) for p in record["series"]))
    fragments = tuple(Fragment(**f) for f in record["fragments"])
    return _Start(record["design"], Base(**record["base"]), series, fragments)


def _overlaid(parts: BuildName, base: Base | None, problems: list[str]) -> tuple[Series, tuple[Fragment, ...]]:
    series, fragments = Series(), list[Fragment]()
    for word in parts.overlays:
        config = images() / "config" / f"{word}.config"
        if config.is_file() and word != GUEST:
            fragments.append(read_fragment(config))
        elif word in overlays():
            series = series + (_series(parts, word, base, problems) if base else Series())
        else:
            problems.append(f"kernel {parts}: no overlay {word!r}; there are {', '.join(overlays()) or 'none'}.")
    return series, tuple(fragments)


def _mutant(parts: BuildName, problems: list[str]) -> Series:
    """The mutant's patch: of the kernel with its stacked series, else of the bare design."""
    if not parts.mutant:
        return Series()
    found = mutant_patch(parts)
    if found is None:
        known = [m.mutant for m in mutants(parts.base) if m.stem == parts.stem]
        problems.append(f"kernel {parts}: no mutant {parts.mutant!r}; there are {', '.join(known) or 'none'}.")
        return Series()
    line, at = version_of(found.parent.name), version_of(parts.base or DEFAULT_BASE)
    if line and at and at < line:
        problems.append(f"kernel {parts}: this mutant is for Linux {found.parent.name} and what comes after.")
        return Series()
    return read_series(found)


def _guest() -> Fragment:
    return read_fragment(images() / "config" / f"{GUEST}.config")


def _series(parts: BuildName, name: str, base: Base, problems: list[str]) -> Series:
    """Of the series of a design or overlay, that for the base: the newest that was not made for a later line. One that
    lies in no directory of a line is for all."""
    lines = _lines(images() / name)
    if not lines:
        return read_series(images() / name)
    at = version_of(base.version)
    fitting = [line for line in lines if at and line <= at]
    if not fitting:
        there = ", ".join(lines[line].name for line in sorted(lines))
        problems.append(
            f"kernel {parts}: no series of {name} is for {base.label} ({base.version or 'version not known'}); "
            f"there are some for Linux {there}, and what comes after."
        )
        return Series()
    return read_series(lines[max(fitting)])


def _lines(directory: Path, patch: str = "*.patch") -> dict[tuple[int, int], Path]:
    """The directories that have a patch which was made for a line, `6.12`."""
    found = {version_of(path.parent.name): path.parent for path in directory.glob(f"*/{patch}")}
    return {line: path for line, path in found.items() if line}


def _has_series(directory: Path) -> bool:
    return any(directory.glob("*.patch")) or bool(_lines(directory))


def _own_dir() -> Path:
    return cache_root() / "kernels" / "names"
