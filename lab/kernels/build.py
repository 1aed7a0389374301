# SPDX-License-Identifier: GPL-2.0-only
"""Builds a recipe, or finds it built. One builder at a time across processes; the next neighbour is incremental."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.contracts import Progress
from lab.errors import BadInput
from lab.host.commands import run
from lab.host.filecache import ensure_dir, key_of, locked, require_space
from lab.host.paths import cache_root
from lab.host.records import load_record, read_record, write_record, write_whole
from lab.kernels import makelog, products
from lab.kernels.fragments import Option, lost, values, written
from lab.kernels.make import make
from lab.kernels.products import Product
from lab.kernels.ranges import RANGES, fitted, has_proc_sys
from lab.kernels.reasons import why_lost
from lab.kernels.recipe import Recipe
from lab.kernels.series import mbox
from lab.kernels.tree import Tree, ensure_tree
from lab.kernels.vmlinux import has_pvh_note, kernel_release
from lab.units import MIB, utc_now

OBJECTS_SPACE = 700 * MIB
TAIL_LINES = 40


@functools.cache
def toolchain() -> str:
    """Compiler and linker, as they call themselves."""
    return "; ".join(run([tool, "--version"]).decode().splitlines()[0] for tool in ("gcc", "ld"))


def find_built(recipe: Recipe) -> Product | None:
    """The product of a recipe if it is there; looks at files only."""
    return products.read(products.directory(recipe.key(toolchain())))


def ensure_built(recipe: Recipe, progress: Progress) -> Product:
    """The product of a recipe, built if need be, and in use until this process ends. Raises BadInput, LabTrouble."""
    target = products.directory(recipe.key(toolchain()))
    ensure_dir(target, lambda partial: _build(recipe, partial, progress), progress=progress, damage=products.damage)
    product = products.read(target)
    if product is None:
        raise BadInput([f"{target} holds no kernel."], hint=f"remove {target}")
    products.hold(product)
    return product


@contextlib.contextmanager
def builder(name: str, progress: Progress) -> Iterator[None]:
    """One builder at a time: two would halve each other's speed, and share a tree."""
    with locked(products.builder(), progress=progress, holder=f"{products.BUILDS}{name}"):
        yield


@dataclass
class _Counter:
    """Objects made so far, of how many the last full build of this config made (0: not known)."""

    name: str
    full: int
    is_fresh: bool
    progress: Progress
    made: int = 0

    def __call__(self, line: str) -> None:
        if makelog.is_object(line):
            self.made += 1
            self.tell()

    def tell(self) -> None:
        about = "about" if self.is_fresh else "at most"
        of = f" of {about} {max(self.full, self.made)}" if self.full else ""
        self.progress(f"building {self.name}: {self.made}{of} objects")


def _build(recipe: Recipe, partial: Path, progress: Progress) -> None:
    started = time.monotonic()
    with builder(recipe.name, progress):
        tree = ensure_tree(recipe.base, progress)
        commit = tree.committed(recipe.base, recipe.series)
        tree.checked_out(commit)
        work = _Objects(recipe, tree, commit)
        require_space(tree.root, OBJECTS_SPACE if work.is_fresh else 100 * MIB)
        waited = time.monotonic()
        work.configure(progress)
        made = work.compile(progress)
        work.mark_used()
        _keep(recipe, work, partial, {"objects": made, "make_seconds": round(time.monotonic() - waited, 1)})
    record = load_record(partial / products.RECORD)
    write_record(partial / products.RECORD, {**record, "seconds": round(time.monotonic() - started, 1)})


class _Objects:
    """The object directory of one base and config, a direct child of the tree: kbuild then names sources relatively,
    so that ccache knows them again in another tree."""

    def __init__(self, recipe: Recipe, tree: Tree, commit: str) -> None:
        self.recipe, self.tree, self.commit = recipe, tree, commit
        self.name = f"obj-{recipe.config_key[:10]}"
        self.path = tree.root / self.name
        self.log = cache_root() / "build" / "logs" / f"{recipe.name.replace('/', '_')}.log"
        self._state = self.path / "lab.json"
        self._count = cache_root() / "build" / "counts" / recipe.config_key

    @property
    def is_fresh(self) -> bool:
        return not (self.path / "vmlinux").exists()

    def configure(self, progress: Progress) -> None:
        """Have kconfig complete the fragments, unless nothing it reads has changed; prove that each option survived."""
        if self._is_configured():
            return
        progress(f"configuring {self.recipe.name}")
        self._state.unlink(missing_ok=True)
        self.path.mkdir(exist_ok=True)
        wanted = self.recipe.merged()
        if gone := self._gone(self._configured(wanted)):
            wanted = fitted(wanted, self.recipe.base.version, gone=gone)
            self._configured(wanted)
        self._prove(wanted.values())
        write_record(self._state, {"commit": self.commit, "toolchain": toolchain()})

    def _configured(self, wanted: Mapping[str, Option]) -> tuple[Option, ...]:
        """Have kconfig complete the options. Returns those that it did not keep."""
        (self.path / "all.config").write_text(written(wanted))
        self._make("allnoconfig", lambda _: None, {"KCONFIG_ALLCONFIG": str(self.path / "all.config")})
        return lost(wanted.values(), values((self.path / ".config").read_text()))

    def _gone(self, options: Sequence[Option]) -> frozenset[str]:
        """Of the options that were not kept, those for which later kernels have another."""
        return frozenset(o.name for o in options) & {entry.option for entry in RANGES}

    def compile(self, progress: Progress) -> int:
        """Make vmlinux. Returns how many objects were made."""
        fresh = self.is_fresh
        full = self._full_count()
        counter = _Counter(self.recipe.name, full, fresh, progress)
        counter.tell()
        self._make("vmlinux", counter, {})
        if fresh and counter.made > full // 2:  # not the rest of a build that was interrupted
            write_whole(self._count, str(counter.made).encode())
        if not has_pvh_note((self.path / "vmlinux").read_bytes()):
            raise BadInput(
                [f"{self.recipe.name}: vmlinux has no PVH entry, QEMU could not boot it."], hint="CONFIG_PVH=y"
            )
        return counter.made

    def _full_count(self) -> int:
        """Objects of the last full build; 0 where that is not known, or cannot be read."""
        with contextlib.suppress(OSError, ValueError):
            return int(self._count.read_text())
        return 0

    def mark_used(self) -> None:
        os.utime(self._state)

    def _make(self, target: str, on_line: Callable[[str], None], variables: dict[str, str]) -> None:
        make(self.tree.root, self.name, target, log=self.log, on_line=on_line, variables=variables)

    def _is_configured(self) -> bool:
        state = read_record(self._state, lambda record: (str(record["commit"]), str(record["toolchain"])))
        if state is None or state[1] != toolchain():
            return False
        return not any("Kconfig" in path for path in self.tree.changed(state[0], self.commit))

    def _prove(self, wanted: Iterable[Option]) -> None:
        """Raises BadInput with every option that did not survive, and why; and without /proc/sys, which the lab sets
        and reads in every run."""
        have = values((self.path / ".config").read_text())
        gone = lost(wanted, have)
        if not gone and has_proc_sys(have, is_split=True):
            return
        known = self.tree.kconfig()
        problems = [
            f"{o.where}: {o.name}={o.value} did not survive, it is {have.get(o.name, 'n')}: "
            f"{why_lost(known, o.name, o.value, have)}."
            for o in gone
        ]
        is_split = known.symbol("PROC_SYSCTL") is not None
        if (is_split or known.symbol("SYSCTL")) and not has_proc_sys(have, is_split=is_split):
            problems.append(f"{self.recipe.name}: it has no /proc/sys, which every run needs.")
        if problems:
            raise BadInput(problems, hint="add what an option depends on to the fragment, or drop the option")


def _keep(recipe: Recipe, work: _Objects, partial: Path, measured: dict[str, object]) -> None:
    """All that is worth knowing of the kernel, into its own directory."""
    shutil.copyfile(work.path / "vmlinux", partial / "boot")
    shutil.copyfile(work.path / ".config", partial / "config")
    builtin = work.path / "modules.builtin"
    (partial / "modules").mkdir()
    (partial / "modules" / "modules.builtin").write_bytes(builtin.read_bytes() if builtin.is_file() else b"")
    (partial / "series.mbox").write_bytes(mbox(recipe.series))
    tail = work.log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    (partial / "build.log").write_text("\n".join([*tail, ""]))
    boot = (partial / "boot").read_bytes()
    record = {
        "name": recipe.name,
        "design": recipe.design,
        "key": recipe.key(toolchain()),
        "base": recipe.base.as_record(),
        "commit": work.commit,
        "series_key": recipe.series.key,
        "series": [
            {"subject": p.subject, "author": p.author, "source": Path(p.source).name} for p in recipe.series.patches
        ],
        "fragments": [{"name": f.name, "key": key_of(f.text)} for f in recipe.fragments],
        "options_key": recipe.config_key,
        "toolchain": toolchain(),
        "release": kernel_release(partial / "boot") or "",
        "sha256": hashlib.sha256(boot).hexdigest(),
        "config_sha256": hashlib.sha256((partial / "config").read_bytes()).hexdigest(),
        "built": utc_now(),
        **measured,
    }
    write_record(partial / products.RECORD, record)
    (partial / "fragments").mkdir()
    for number, fragment in enumerate(recipe.fragments):
        (partial / "fragments" / f"{number}-{Path(fragment.name).name}").write_text(fragment.text)
