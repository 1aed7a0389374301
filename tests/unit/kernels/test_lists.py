# SPDX-License-Identifier: GPL-2.0-only
"""Other suites than the host's, with the real apt, on repositories of our own."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import stamina
from typer.testing import CliRunner

from lab.cli import assembled
from lab.contracts import Progress
from lab.errors import BadInput, FetchFailed
from lab.kernels import apt, archives, lists
from lab.kernels.base import find_base
from lab.kernels.bootable import make_bootable
from lab.kernels.catalogue import CatalogueKernel, catalogue, everything, resolve
from lab.kernels.stock import unpacked_dir
from tests.unit.kernels.binaries import vmlinux
from tests.unit.kernels.repository import RELEASE, SPLIT, apt_config, kernel_package, split_packages, stanza

OFF = "[trixie]\noff = true\n[trixie-backports]\noff = true\n[sid]\noff = true\n"


def quiet(_: str) -> None:
    pass


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host whose own list has one kernel. Its hook must not run when lists of other suites are read."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "lab-cache"))
    config = apt_config(tmp_path, kernel_package(tmp_path))
    hook = f'APT::Update::Post-Invoke {{ "touch {tmp_path}/hook-ran"; }};\n'
    config.write_text(config.read_text() + hook)
    monkeypatch.setenv("APT_CONFIG", str(config))
    return config


@pytest.fixture
def suites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets the user's table."""

    def write(rows: str) -> None:
        (tmp_path / "archives.toml").write_text(OFF + rows)
        monkeypatch.setenv("LAB_ARCHIVES", str(tmp_path / "archives.toml"))

    return write


@pytest.fixture
def pool(tmp_path: Path, suites: Callable[[str], None]) -> Path:
    """Packages of another suite, which the table knows."""
    folder = split_packages(tmp_path / "pool")
    suites(row("other", folder))
    return folder


@pytest.fixture
def init(tmp_path: Path) -> Path:
    path = tmp_path / "lab-init"
    path.write_bytes(b"INIT")
    return path


def row(name: str, folder: Path) -> str:
    return f'[{name}]\nuri = "file:{folder}"\nsuite = "./"\ntrusted = true\n'


def only(name: str) -> CatalogueKernel:
    (found,) = resolve([name])
    assert isinstance(found, CatalogueKernel)
    return found


@pytest.mark.usefixtures("pool")
@pytest.mark.parametrize("name", ["6.98", "6.98.4", SPLIT, "newest-any"])
def test_a_name_that_the_host_does_not_have_is_looked_for_elsewhere(name: str) -> None:
    if name == "newest-any":  # 6.99 of the host is newer
        assert only(name).name == RELEASE
    else:
        assert (only(name).name, only(name).archive) == (SPLIT, "other")
    assert [k.name for k in everything()] == [SPLIT, RELEASE]


@pytest.mark.usefixtures("pool")
def test_what_the_host_has_is_never_asked_for_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "refresh", lambda *_: pytest.fail("the lists of other suites were read"))
    for name in ("newest", "6.99", "6.99.1", RELEASE):
        assert only(name).name == RELEASE
    with pytest.raises(BadInput, match="'newset' is not known; close: newest"):
        resolve(["newset"])


@pytest.mark.usefixtures("pool")
def test_reading_other_lists_changes_nothing_of_the_host(host: Path, tmp_path: Path) -> None:
    def state() -> dict[str, str]:
        kept = [host, *(p for name in ("etc", "state", "cache") for p in (tmp_path / name).rglob("*"))]
        return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in kept if p.is_file()}

    before = state()
    resolve(["6.98"])
    assert state() == before
    assert not (tmp_path / "hook-ran").exists()
    assert [k.name for k in catalogue()] == [RELEASE]


def test_three_packages_become_one_bootable_kernel(pool: Path, init: Path) -> None:
    kernel = make_bootable(only("6.98"), init=init, progress=quiet)
    assert kernel.boot.read_bytes() == vmlinux(release=SPLIT)
    assert kernel.config_sha256 == hashlib.sha256(b"CONFIG_X86_64=y\n").hexdigest()
    assert kernel.modules == ("libcrc32c", "erofs", "virtio_pci")
    assert only("6.98").fetched


def test_what_was_fetched_is_kept_when_its_packages_vanish(pool: Path, init: Path) -> None:
    made = make_bootable(only("6.98"), init=init, progress=quiet)
    split_packages(pool, parts=["binary"])
    lists.refresh(["other"], quiet)
    assert make_bootable(only("6.98"), init=init, progress=quiet).boot == made.boot
    (pool / "Packages").write_text("")
    lists.refresh(["other"], quiet)
    kept = only("6.98")
    assert (kept.offered, kept.fetched, kept.archive) == (False, True, "other")
    assert make_bootable(kept, init=init, progress=quiet).boot == made.boot
    assert only("newest").name == RELEASE  # what is kept of another suite is none of the host's
    assert [k.name for k in catalogue()] == [RELEASE]


def test_other_files_under_the_same_version_are_another_kernel(pool: Path, init: Path) -> None:
    first = only("6.98")
    make_bootable(first, init=init, progress=quiet)
    deb = next(pool.glob("linux-base-*.deb"))
    text = (pool / "Packages").read_text()
    deb.write_bytes(deb.read_bytes() + b"\n")
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    text = text.replace(f"Size: {first.parts[2].size}\n", f"Size: {deb.stat().st_size}\n")
    (pool / "Packages").write_text(text.replace(first.parts[2].sha256, digest))
    lists.refresh(["other"], quiet)
    second = only("6.98")
    assert not second.fetched
    assert unpacked_dir(second.release, second.version, second.mark) != unpacked_dir(
        first.release, first.version, first.mark
    )


def test_a_kernel_without_its_modules_is_offered_and_says_why_it_does_not_boot(pool: Path, init: Path) -> None:
    split_packages(pool, parts=["binary", "base"])
    bare = only("6.98")
    assert bare.is_bare
    with pytest.raises(BadInput, match="its modules are gone from the mirror; virtio_blk, virtio_net, erofs"):
        make_bootable(bare, init=init, progress=quiet)


def test_a_damaged_package_is_refused_and_nothing_is_left(pool: Path, init: Path, tmp_path: Path) -> None:
    kernel = only("6.98")
    deb = next(pool.glob("linux-modules-*.deb"))
    deb.write_bytes(deb.read_bytes()[:-1] + b"!")
    with stamina.set_testing(True, attempts=1), pytest.raises(FetchFailed, match="linux-modules") as caught:
        make_bootable(kernel, init=init, progress=quiet)
    assert "lab kernels --refresh" in caught.value.hint
    assert not only("6.98").fetched
    assert not [p for p in (tmp_path / "lab-cache").rglob("*") if p.suffix == ".deb" or ".partial" in p.name]


def test_a_suite_that_cannot_be_reached_is_one_line_and_keeps_nobody_else_from_anything(
    pool: Path, suites: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    suites('[gone]\nuri = "http://127.0.0.1:9"\nsuite = "./"\ntrusted = true\n' + row("other", pool))
    assert only("6.98").archive == "other"
    told = [line for line in capsys.readouterr().err.splitlines() if "gone cannot be read" in line]
    assert len(told) == 1
    assert "nothing of it is offered" in told[0]
    assert "127.0.0.1" in told[0]
    with pytest.raises(BadInput, match=r"kernel '6\.97' is not known") as caught:
        resolve(["6.97", "6.96"])
    assert [
        p.startswith("gone cannot be read, nothing of it is offered: Could not") for p in caught.value.problems
    ] == [*(False, True, False)]
    assert only("newest").name == RELEASE
    remembered = lists.listings()
    assert (lists.due(remembered), lists.due(remembered, unasked=True)) == (("gone",), ())
    listed = CliRunner().invoke(assembled(), ["kernels"])
    assert (listed.exit_code, listed.stderr.count("gone cannot be read")) == (0, 1)
    assert SPLIT in listed.stdout


def test_a_list_that_cannot_be_read_again_is_used_still(pool: Path) -> None:
    lists.refresh(["other"], quiet)
    (pool / "Packages").unlink()
    (listing,) = lists.refresh(["other"], quiet)
    assert "is used still" in listing.told
    assert SPLIT in [k.name for k in everything()]


def test_a_list_that_nobody_signed_is_not_used(tmp_path: Path, suites: Callable[[str], None]) -> None:
    folder = split_packages(tmp_path / "pool")
    suites(row("other", folder).replace("trusted = true", 'keyring = "/etc/hostname"'))
    (listing,) = lists.refresh(["other"], quiet)
    assert listing.trouble
    assert listing.packages == ()
    suites(row("other", folder).replace("trusted = true", 'keyring = "/nowhere.gpg"'))
    (listing,) = lists.refresh(["other"], quiet)
    assert "there is no /nowhere.gpg" in listing.trouble


def test_what_nobody_knows_is_not_asked_for_again_at_once(pool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, real = list[Sequence[str]](), lists.refresh

    def refresh(names: Sequence[str], progress: Progress) -> tuple[lists.Listing, ...]:
        asked.append(names)
        return real(names, progress)

    monkeypatch.setattr(lists, "refresh", refresh)
    for _ in range(2):
        with pytest.raises(BadInput, match=r"'6\.97' is not known"):
            resolve(["6.97"])
    assert asked == [("other",)]
    later = time.time() + lists.OLD.total_seconds() + 1
    assert lists.due(lists.listings()) == ()
    monkeypatch.setattr(time, "time", lambda: later)
    assert lists.due(lists.listings()) == ("other",)
    assert lists.due(lists.listings(), unasked=True) == ()


@pytest.mark.usefixtures("pool")
def test_the_hosts_lists_are_remembered_until_one_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [o.release for o in apt.offers()] == [RELEASE]
    with monkeypatch.context() as patch:
        patch.setattr(apt, "show", lambda *_, **__: pytest.fail("apt was asked again"))
        assert [o.release for o in apt.offers()] == [RELEASE]
    for path in (tmp_path / "state" / "lists").glob("*Packages*"):
        path.unlink()
    assert apt.offers() == ()


def test_the_source_of_another_suite_is_a_base(pool: Path) -> None:
    data = b"source"
    (pool / "source.deb").write_bytes(data)
    source = stanza("linux-source-6.98", "6.98.4-1", data, "source.deb")
    (pool / "Packages").write_text(f"{(pool / 'Packages').read_text()}\n{source}")
    for spec in ("6.98", "6.98.4", "6.98.4-1"):
        base = find_base(spec)
        assert (base.location, base.revision, base.archive) == ("linux-source-6.98", "6.98.4-1", "other")
    with pytest.raises(BadInput, match=r"base '6\.98\.5' is not known: the package manager offers 6\.98\.4-1"):
        find_base("6.98.5")


def test_every_mistake_in_the_table_is_told(suites: Callable[[str], None]) -> None:
    suites('[a]\nurl = "x"\ntrusted = 1\n[b]\nuri = "http://a b"\ncomponents = "main"\n["c d"]\n')
    with pytest.raises(BadInput) as caught:
        archives.archives()
    assert [p.partition("archives.toml: ")[2] for p in caught.value.problems] == [
        "[a] url: there is no such key.",
        "[a] trusted: true or false.",
        "[b] uri: a text without blanks.",
        "[b] components: a list of texts without blanks.",
        "[c d]: a name has letters, digits and dashes only.",
    ]
    suites("[a\n")
    with pytest.raises(BadInput, match="not TOML"):
        archives.archives()
