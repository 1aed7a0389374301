# SPDX-License-Identifier: GPL-2.0-only
"""Programs that an experiment brings, built by the real make and gcc: the one of docs/extend.md, and broken ones."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.guestimage import layer as layers
from lab.guestimage.build import _image_dir, the_recipe
from lab.guestimage.layer import ensure_layer, layer_of, why_not
from lab.guestimage.programs import build, library
from lab.host.digests import sha256_of
from tests.extend import OWN, written
from tests.known import CASES
from tests.unit.damaged import flip
from tests.unit.guest.programs import Tools

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("gcc", "make", "mkfs.erofs"))), reason="this host has no gcc, make or mkfs.erofs"
)


def quiet(_: str) -> None:
    pass


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sources of the experiment of docs/extend.md."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    return written(tmp_path / OWN, OWN) / "guest"


def test_a_layer_holds_the_programs_and_is_made_once(guest: Path, tmp_path: Path) -> None:
    said: list[str] = []
    layer = ensure_layer(guest, said.append)
    assert said == ["building the guest programs of my-recv"]
    assert ensure_layer(guest, said.append) == layer
    assert len(said) == 1
    assert (layer.sha256, len(layer.key)) == (sha256_of(layer.path), 20)
    tree = tmp_path / "tree"
    subprocess.run(["fsck.erofs", f"--extract={tree}", str(layer.path)], check=True, capture_output=True)
    assert sorted(path.name for path in tree.iterdir()) == ["giver", "taker"]
    assert all(path.stat().st_mode & 0o555 == 0o555 for path in (tree, *tree.iterdir()))
    assert all(b"/lib64/ld-linux" not in path.read_bytes() for path in tree.iterdir())


def test_its_key_is_that_of_its_sources_and_the_image_has_another(guest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, first = _image_dir(the_recipe()).name, ensure_layer(guest, quiet)
    (guest / "taker.c").write_text((guest / "taker.c").read_text().replace("takes a stream", "takes all"))
    second = ensure_layer(guest, quiet)
    for ignored in (guest / "build" / "taker", guest / ".taker.c.swp"):  # made by hand, and by an editor
        ignored.parent.mkdir(exist_ok=True)
        ignored.touch()
    assert ensure_layer(guest, quiet) == second
    assert first.key != second.key
    assert _image_dir(the_recipe()).name == image
    copied = shutil.copytree(library(), guest.parent / "lib")
    (copied / "labjson.h").write_text((copied / "labjson.h").read_text() + "\n")
    monkeypatch.setattr("lab.guestimage.programs.library", lambda: copied)
    monkeypatch.setattr(layers, "library", lambda: copied)
    assert ensure_layer(guest, quiet).key not in (first.key, second.key)


def test_the_same_sources_give_the_same_bytes(guest: Path) -> None:
    first = ensure_layer(guest, quiet)
    shutil.rmtree(first.path.parent)
    assert ensure_layer(guest, quiet) == first


def test_a_damaged_layer_is_named_and_made_again(guest: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layer = ensure_layer(guest, quiet)
    flip(layer.path)
    assert ensure_layer(guest, quiet) == layer
    assert sha256_of(layer.path) == layer.sha256
    assert str(layer.path) in capsys.readouterr().err


def test_what_does_not_build_is_told_with_every_file_and_leaves_nothing(guest: Path, tmp_path: Path) -> None:
    (guest / "taker.c").write_text("int main(void)\n{\n\treturn nothing;\n}\n")
    (guest / "giver.c").write_text("int lost(void);\nint main(void)\n{\n\treturn lost();\n}\n")
    (guest / "well.c").write_text("int main(void)\n{\n\treturn 0;\n}\n")
    with pytest.raises(BadInput) as caught:
        ensure_layer(guest, quiet)
    (told,) = caught.value.problems
    first, _, said = told.partition("\n")
    assert first.startswith(f"{guest}: ")
    assert {"taker.c", "giver.c"} <= set(first.replace(",", "").replace(":", "").split())
    assert "well.c" not in first
    assert "taker.c:3:" in said
    assert "undefined reference to `lost'" in said
    assert not [p for p in (tmp_path / "cache" / "layers").iterdir() if p.is_dir()]


@pytest.mark.parametrize(
    ("makefile", "told"),
    [
        ("all:\n\t@true\n", "built no program"),
        ("all:\n\techo data > $(OUT)/data\n", "built no program"),
        ("all:\n\t@echo no such luck; false\n", "no such luck"),
        ("all\n", "missing separator"),
    ],
)
def test_a_makefile_that_makes_nothing_is_refused(guest: Path, makefile: str, told: str) -> None:
    (guest / "Makefile").write_text(makefile)
    with pytest.raises(BadInput, match=told) as caught:
        ensure_layer(guest, quiet)
    assert str(guest) in caught.value.message


def test_a_makefile_of_ones_own_may_build_of_several_files(guest: Path, tmp_path: Path) -> None:
    (guest / "more.c").write_text("int more(void);\nint more(void)\n{\n\treturn 7;\n}\n")
    (guest / "seven.c").write_text("int more(void);\nint main(void)\n{\n\treturn more();\n}\n")
    (guest / "Makefile").write_text(
        "PROGRAMS = seven taker\nseven_SOURCES = seven.c more.c\ninclude $(LAB)/program.mk\n"
    )
    build(guest, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["seven", "taker"]
    assert subprocess.run([tmp_path / "out" / "seven"], check=False).returncode == 7


def test_no_folder_and_no_traffic(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere: no such folder of guest programs"):
        ensure_layer(tmp_path / "nowhere", quiet)
    assert layer_of(None, quiet) is None


def test_what_says_no_file_is_told_as_it_is() -> None:
    assert why_not(Path("/x/guest"), "make: *** No rule\n") == (
        "/x/guest: nothing was built: make failed\nmake: *** No rule"
    )


def test_the_programs_of_the_page_talk(guest: Path, tmp_path: Path) -> None:
    build(guest, tmp_path / "out")
    tools = Tools(tmp_path / "out")
    with socket.socket(socket.AF_INET6) as unused:
        unused.bind(("::", 0))
        port = unused.getsockname()[1]
    with tools.start("taker", "--port", port, "--bytes", 300_000) as taker:
        taker.until("ready")
        with tools.start("giver", "--to", "127.0.0.1", "--port", port, "--bytes", 300_000) as giver:
            giver.until("ready")
            assert taker.until("holding")["held"] == 300_000
        assert taker.process.stdin is not None
        taker.process.stdin.close()
        last, status = taker.end()
    assert (last.event, last["delivered"], status) == ("done", 300_000, 0)


def test_cases_of_this_checkout_say_where_their_programs_are() -> None:
    for case in CASES.values():
        assert case.traffic is not None
        assert case.traffic.programs is not None
        assert (case.traffic.programs / "Makefile").is_file()
