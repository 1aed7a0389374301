# SPDX-License-Identifier: GPL-2.0-only
"""A kernel and an initrd that QEMU can boot directly."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from lab.contracts import BootableKernel, Progress
from lab.errors import BadInput
from lab.host.digests import sealed, sha256_of
from lab.host.filecache import ensure_sealed, key_of
from lab.host.paths import cache_root
from lab.host.version import described
from lab.kernels import cpio, modules
from lab.kernels.build import ensure_built
from lab.kernels.catalogue import CatalogueKernel, Kernel, LocalKernel
from lab.kernels.fetch import ensure_fetched
from lab.kernels.recipe import Recipe
from lab.kernels.vmlinux import extract_vmlinux

_RECIPE = "3"  # raise it whenever the content of the initrd changes for the same input


@dataclass(frozen=True)
class _Parts:
    """What a kernel consists of on disk. drivers: those built in, where no list of modules says so."""

    boot: Path
    sha256: str
    config_sha256: str
    release: str
    modules: Path | None
    modules_key: str
    base: str = ""
    series: str = ""
    fragments: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()


def make_bootable(kernel: Kernel, *, init: Path, progress: Progress) -> BootableKernel:
    """Fetch or build, unpack and pack as needed; what was made before is only looked up.

    Raises FetchFailed, HostTrouble, and BadInput when a series or config cannot be built.
    """
    parts = _parts(kernel, progress)
    key = key_of(_RECIPE, parts.sha256, parts.modules_key, sha256_of(init))
    target = cache_root() / "initrds" / key

    def make(partial: Path) -> None:
        progress(f"packing the initrd of {kernel.name}")
        steps = modules.plan_loading(modules.finder(parts.modules)) if parts.modules else ()
        (partial / "initrd").write_bytes(cpio.newc(initrd_entries(init.read_bytes(), steps)))
        names = modules.present(parts.modules, steps) if parts.modules else parts.drivers
        (partial / "modules.json").write_text(json.dumps(names))

    ensure_sealed(target, make, progress=progress)
    return BootableKernel(
        name=kernel.name,
        boot=parts.boot,
        initrd=target / "initrd",
        release=parts.release,
        design=kernel.design,
        sha256=parts.sha256,
        initrd_sha256=sealed(target)["initrd"],
        config_sha256=parts.config_sha256,
        modules=tuple(json.loads((target / "modules.json").read_text())),
        base=parts.base,
        series=parts.series,
        fragments=parts.fragments,
        asked=kernel.typed if isinstance(kernel, LocalKernel) else "",
        described=described(kernel.modules) if isinstance(kernel, LocalKernel) and kernel.modules else "",
    )


def initrd_entries(init: bytes, steps: tuple[modules.LoadStep, ...]) -> list[cpio.Entry]:
    """Content of the initrd. /modules/load lists `GROUP FILE` in load order; see images/guest/lab-init.c."""
    files = {s.module.name: f"{i:02}-{s.module.name}.ko" for i, s in enumerate(steps)}
    load = "".join(f"{s.group} {files[s.module.name]}\n" for s in steps)
    return [
        *(cpio.directory(d) for d in ("dev", "proc", "sys", "root", "modules")),
        cpio.char_device("dev/console", 5, 1),
        cpio.regular("init", init, mode=0o755),
        cpio.regular("modules/load", load.encode()),
        *(cpio.regular(f"modules/{files[s.module.name]}", s.module.data) for s in steps),
    ]


def _parts(kernel: Kernel, progress: Progress) -> _Parts:
    match kernel:
        case CatalogueKernel():
            return _stock(kernel, progress)
        case LocalKernel():
            return _own(kernel, progress)
        case Recipe():
            return _built(kernel, progress)


def _built(recipe: Recipe, progress: Progress) -> _Parts:
    """One that the lab builds: everything it needs is in vmlinux, `modules.builtin` says what that is."""
    product = ensure_built(recipe, progress)
    facts = product.record
    return _Parts(
        product.boot,
        facts["sha256"],
        facts["config_sha256"],
        facts["release"],
        product.path / "modules",
        facts["key"],
        base=recipe.base.label,
        series=facts["series_key"],
        fragments=tuple(Path(f["name"]).name for f in facts["fragments"]),
    )


def _stock(kernel: CatalogueKernel, progress: Progress) -> _Parts:
    where = ensure_fetched(kernel, progress)
    facts = json.loads((where / "kernel.json").read_text())
    key, lib = kernel.deb_sha256 or kernel.mark, where / "modules"
    parts = _Parts(where / "boot", facts["sha256"], facts["config_sha256"], kernel.release, lib, key)
    if lib.is_dir():
        return parts
    drivers = modules.built_into(parts.boot.read_bytes())
    if lacking := [name for name in modules.REQUIRED if name not in drivers]:
        gone = f"{kernel.archive or 'this host'} offers only its vmlinuz, its modules are gone from the mirror"
        told = f"kernel {kernel.name}: {gone}; {', '.join(lacking)} are among them, so no guest comes up."
        raise BadInput([told], hint="lab kernels (another version or line that is complete)")
    return replace(parts, modules=None, drivers=drivers)


def _own(kernel: LocalKernel, progress: Progress) -> _Parts:
    """A kernel of the user's: copied, so that a rebuild under a running lab does not change what is booted."""
    target = cache_root() / "kernels" / f"own-{sha256_of(kernel.image)[:20]}"

    def make(partial: Path) -> None:
        progress(f"unpacking {kernel.image.name}")
        image = kernel.image.read_bytes()
        (partial / "boot").write_bytes(extract_vmlinux(image) or image)

    ensure_sealed(target, make, progress=progress)
    config, lib = _config_sha256(kernel.image), kernel.modules
    return _Parts(target / "boot", sealed(target)["boot"], config, kernel.release, lib, _modules_key(lib))


def _config_sha256(image: Path) -> str:
    """Of the .config of the build tree the image lies in, or the config beside it, "" when there is none."""
    tree = (image.parent, *image.parents[1:4])
    config = next((d / name for d in tree for name in (".config", "config") if (d / name).is_file()), None)
    return sha256_of(config) if config else ""


def _modules_key(modules_dir: Path | None) -> str:
    """Changes when a module of the directory was replaced; reading them all would take longer than packing."""
    if modules_dir is None:
        return ""
    files = modules.files_of(modules_dir)
    return key_of(str(modules_dir), *(f"{p} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in files))
