# SPDX-License-Identifier: GPL-2.0-only
"""`pip install .`: the wheel is built, and installed where no checkout is in sight."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.fleet.fitting import SOURCE
from lab.guestimage.build import _image_dir, the_recipe
from lab.host.paths import project_root
from lab.host.version import lab_code

DATA = ("lab", "suites", "images", "playbooks")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-q")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the lab's wheel. What the lab needs is that of this one: nothing is fetched."""
    folder = tmp_path_factory.mktemp("wheel")
    _made(folder)
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], folder)
    python = folder / "venv" / "bin" / "python"
    wheel = next(folder.glob("lab-*.whl"))
    _run([*PIP, "--python", str(python), "install", "--no-index", "--no-deps", str(wheel)], folder)
    # a folder named by a .pth file is searched last, and its own .pth files, one of which names the checkout, are not
    (_packages(folder / "venv") / "more.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv"


def _made(folder: Path) -> None:
    """From a copy, which goes: setuptools leaves what it built beside the sources, and packs it again next time."""
    copy = folder / "source"
    copy.mkdir()
    for name in SOURCE:
        path = project_root() / name
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
        shutil.copytree(path, copy / name, ignore=ignored) if path.is_dir() else shutil.copy(path, copy)
    _run([*PIP, "wheel", "--no-index", "--no-deps", "--no-build-isolation", "-w", str(folder), str(copy)], folder)
    shutil.rmtree(copy)


def _packages(venv: Path) -> Path:
    return Path(sysconfig.get_path("purelib", vars={"base": str(venv)}))


def _run(argv: list[str], folder: Path, **environ: str) -> str:
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "LAB_SUITES", "LAB_RESULTS")}
    done = subprocess.run(argv, cwd=folder, env=env | environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _sources() -> Iterator[Path]:
    """All that the lab may read of its checkout, relative to it."""
    for path in (path for name in DATA for path in (project_root() / name).rglob("*")):
        place = path.relative_to(project_root())
        made = {"__pycache__", "build"} & set(place.parts) or any(part.startswith(".") for part in place.parts)
        if not made and not path.is_dir() and not (place.parts[0] == "suites" and path.suffix == ".md"):
            yield place


def test_a_wheel_holds_every_file_that_the_lab_reads(installed: Path) -> None:
    """A link would be missed too: a wheel can hold none."""
    told = {place: _content(_packages(installed) / place) for place in _sources()}
    assert [str(place) for place, content in told.items() if content != _content(project_root() / place)] == []
    assert len(told) > 500


def _content(path: Path) -> tuple[bytes, int] | None:
    return (path.read_bytes(), path.stat().st_mode & 0o100) if path.is_file() and not path.is_symlink() else None


def test_an_installed_lab_has_the_image_and_the_code_of_its_checkout(installed: Path, tmp_path: Path) -> None:
    ask = (
        "from lab.guestimage.build import _image_dir, the_recipe; from lab.host.version import lab_code; "
        "from lab.host.paths import project_root; print(project_root(), _image_dir(the_recipe()).name, lab_code())"
    )
    told = _run([str(installed / "bin" / "python"), "-c", ask], tmp_path).split()
    assert told == [str(_packages(installed)), _image_dir(the_recipe()).name, lab_code()]


def test_an_installed_lab_says_what_it_would_run(installed: Path, tmp_path: Path) -> None:
    lab, cache = str(installed / "bin" / "lab"), {"LAB_CACHE": str(tmp_path / "cache")}
    assert _run([lab, "--version"], tmp_path).startswith("lab ")
    assert "pin-vmsplice" in _run([lab, "cases"], tmp_path, **cache)
    assert "hold" in _run([lab, "run", "thread", "--dry-run"], tmp_path, **cache)
    assert sorted(path.name for path in tmp_path.iterdir()) in ([], ["cache"])
