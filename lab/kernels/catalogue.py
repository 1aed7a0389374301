# SPDX-License-Identifier: GPL-2.0-only
"""The kernels a user can name: every one the distribution offers, and any that lies on this disk."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lab.errors import BadInput, HostTrouble
from lab.experiments.found import all_designs
from lab.host.paths import cache_root
from lab.kernels import apt, recipes
from lab.kernels.recipe import Recipe
from lab.kernels.vmlinux import kernel_release
from lab.plan.design import design_of

HINT = "lab kernels (lists what can be had); PATH[:MODULES_DIR][@DESIGN[+OVERLAY...]] for a kernel you built"
# The cloud flavour is built without the drivers of NICs that clouds do not emulate.
_LACKING = {"cloud": ("e1000e", "e1000", "igb"), "generic": ()}


@dataclass(frozen=True)
class CatalogueKernel:
    """A kernel as the distribution ships it, or did. size of the download in bytes; lacks: NIC drivers."""

    name: str
    package: str
    version: str
    line: str
    flavour: str
    size: int
    design: str
    fetched: bool
    release: str
    lacks: tuple[str, ...]
    installed_size: int
    deb_sha256: str

    @property
    def offered(self) -> bool:
        """Whether it could be fetched (again); else it is only kept."""
        return bool(self.deb_sha256)


@dataclass(frozen=True)
class LocalKernel:
    """A kernel somebody built: bzImage or vmlinux, and its lib/modules/RELEASE (None: everything is built in)."""

    name: str
    image: Path
    modules: Path | None
    release: str
    design: str


Kernel = CatalogueKernel | LocalKernel | Recipe


def catalogue() -> tuple[CatalogueKernel, ...]:
    """Every stock kernel on offer, and those that were fetched and are not offered any more, oldest first.

    A package manager without lists offers none; what was fetched before still boots.
    """
    offered = [_entry(offer) for offer in apt.offers()]
    known = {kernel.release for kernel in offered}
    kept = [kernel for kernel in _fetched() if kernel.release not in known]
    return tuple(sorted((*offered, *kept), key=lambda k: (apt.version_key(k.version), k.flavour)))


def _fetched() -> Iterator[CatalogueKernel]:
    """Those that `unpacked_dir` holds, by its name: nothing else is known of them, and nothing else is needed."""
    for record in sorted((cache_root() / "kernels").glob("*-amd64_*/kernel.json")):
        release, _, version = record.parent.name.partition("_")
        flavour = apt.flavour_of(f"linux-image-{release}")
        if flavour and record.parent == unpacked_dir(release, version):
            yield _entry(apt.Offer(f"linux-image-{release}", release, version, flavour, 0, 0, ""))


def unpacked_dir(release: str, version: str) -> Path:
    """Where the files of a fetched kernel lie; complete when it exists."""
    return cache_root() / "kernels" / f"{release}_{version}"


def resolve(names: Sequence[str], *, known: Sequence[CatalogueKernel] | None = None) -> tuple[Kernel, ...]:
    """The kernels meant by names: `6.12.117+deb12-amd64`, `6.12` or `newest`; `PATH[:MODULES_DIR]`; or one to be built,
    `[BASE:]DESIGN[+OVERLAY...][~MUTANT]`. Each may end in `@DESIGN[+OVERLAY...]`, what it is
    expected to behave like.

    Raises BadInput with all problems, HostTrouble when the package manager knows no kernel at all.
    """
    problems: list[str] = []
    offered: Sequence[CatalogueKernel] = () if known is None else known
    if known is None and any(_is_offered(_split_design(n)[0]) for n in names):
        offered = _catalogue_or_trouble()
    found: list[Kernel] = []
    for name in names:
        bare, design = _split_design(name)
        if design and design_of(design) not in all_designs():
            problems.append(_unknown("design", design_of(design), list(all_designs())))
            continue
        kernel = _one(bare, design, offered, problems)
        if kernel and kernel not in found:
            found.append(kernel)
    if problems:
        raise BadInput([*problems, *_name_clashes(found)], hint=HINT)
    return united(found)


def united(kernels: Sequence[Kernel]) -> tuple[Kernel, ...]:
    """Each kernel once. Raises BadInput when different ones have the same name."""
    found: list[Kernel] = []
    for kernel in kernels:
        if kernel not in found:
            found.append(kernel)
    if clashes := _name_clashes(found):
        raise BadInput(clashes, hint=HINT)
    return tuple(found)


def _one(bare: str, design: str, offered: Sequence[CatalogueKernel], problems: list[str]) -> Kernel | None:
    if _is_path(bare):
        return _local(bare, design or "stock", problems)
    if _is_offered(bare):
        return _offered(bare, design or "stock", offered, problems)
    try:
        recipe = recipes.recipe_of(bare)
        recipe.merged()  # two fragments that contradict each other are told with the rest
    except BadInput as exc:
        problems += exc.problems
        return None
    return recipe.as_design(design) if design else recipe


def _entry(offer: apt.Offer) -> CatalogueKernel:
    return CatalogueKernel(
        name=offer.release,
        package=offer.package,
        version=offer.version,
        line=apt.line_of(offer.version),
        flavour=offer.flavour,
        size=offer.size,
        design="stock",
        fetched=unpacked_dir(offer.release, offer.version).is_dir(),
        release=offer.release,
        lacks=_LACKING[offer.flavour],
        installed_size=offer.installed_size,
        deb_sha256=offer.sha256,
    )


def _catalogue_or_trouble() -> tuple[CatalogueKernel, ...]:
    offered = catalogue()
    if not offered:
        raise HostTrouble("the package manager offers no kernel", hint="sudo apt-get update")
    return offered


def _split_design(name: str) -> tuple[str, str]:
    bare, at, design = name.rpartition("@")
    return (bare, design) if at and "/" not in design else (name, "")


def _is_path(bare: str) -> bool:
    return "/" in bare


def _is_offered(bare: str) -> bool:
    """Whether it can only be a kernel of the distribution."""
    return not _is_path(bare) and not recipes.is_buildable(bare)


def _offered(bare: str, design: str, offered: Sequence[CatalogueKernel], problems: list[str]) -> CatalogueKernel | None:
    generic = [k for k in offered if k.flavour == "generic"]
    fitting = [k for k in offered if k.name == bare] or [k for k in generic if bare in (k.line, "newest")]
    if not fitting:
        words = ["newest", *dict.fromkeys(k.line for k in generic), *(k.name for k in offered)]
        words += [*recipes.designs(), *recipes.own_names()]
        problems.append(_unknown("kernel", bare, words))
        return None
    return replace(fitting[-1], name=_display(fitting[-1].name, design), design=design_of(design))


def _local(bare: str, design: str, problems: list[str]) -> LocalKernel | None:
    image_text, _, modules_text = bare.partition(":")
    image = Path(image_text).expanduser().resolve()
    modules = Path(modules_text).expanduser().resolve() if modules_text else None
    before = len(problems)
    release = kernel_release(image) if image.is_file() else None
    if not image.is_file():
        problems.append(f"kernel {image}: there is no such file.")
    elif release is None:
        problems.append(f"kernel {image}: neither a bzImage nor an x86-64 vmlinux.")
    if modules is not None and not (modules / "modules.builtin").is_file():
        problems.append(f"modules {modules}: not a lib/modules/RELEASE directory (it has no modules.builtin).")
    if release is None or len(problems) > before:
        return None
    return LocalKernel(_display(release, design), image, modules, release, design_of(design))


def _display(release: str, design: str) -> str:
    return release if design == "stock" else f"{release}@{design}"


def _name_clashes(found: Sequence[Kernel]) -> list[str]:
    names = [k.name for k in found]
    return [
        f"kernel {name}: {names.count(name)} different kernels have this name; give them another CONFIG_LOCALVERSION."
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]


def _unknown(what: str, word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return f"{what} {word!r} is not known" + (f"; close: {', '.join(close)}." if close else ".")
