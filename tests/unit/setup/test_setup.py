# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lab.cli.progress import PlainLines
from lab.cli.setup import newest_of_each_line
from lab.errors import BadInput
from lab.host.paths import project_root
from tests.unit.kernels.test_resolve import KNOWN


def test_the_newest_of_each_line_is_fetched() -> None:
    assert [k.name for k in newest_of_each_line(KNOWN)] == ["6.1.0-56-amd64", "6.12.117+deb12-amd64"]


def test_no_kernel_at_all_is_told() -> None:
    with pytest.raises(BadInput, match="apt-get update"):
        newest_of_each_line(())


def test_a_log_gets_one_line_per_step(capsys: pytest.CaptureFixture[str]) -> None:
    tell = PlainLines()
    for text in ("fetching a: 0.0 MiB of 9.0 MiB", "fetching a: 5.0 MiB of 9.0 MiB", "unpacking a"):
        tell(text)
    assert capsys.readouterr().err.splitlines() == ["  fetching a: 0.0 MiB of 9.0 MiB", "  unpacking a"]


@pytest.mark.parametrize("script", ["playbooks/bootstrap.sh", ".ci/run"])
def test_scripts_parse(script: str) -> None:
    path = project_root() / script
    shell = path.read_text().splitlines()[0].rpartition("/")[2].removeprefix("env ")
    assert subprocess.run([shell, "-n", str(path)], check=False).returncode == 0


def checkout(tmp_path: Path) -> Path:
    """A checkout with a .venv that looks made."""
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks/bootstrap.sh").write_text((project_root() / "playbooks/bootstrap.sh").read_text())
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    bin_dir = tmp_path / ".venv/bin"
    bin_dir.mkdir(parents=True)
    for name in ("lab", "python", "pip"):
        (bin_dir / name).write_text("#!/bin/sh\necho called $0 $*\n")
        (bin_dir / name).chmod(0o755)
    return tmp_path


def bootstrap(where: Path, **env: str) -> subprocess.CompletedProcess[str]:
    argv = ["sh", str(where / "playbooks/bootstrap.sh")]
    return subprocess.run(
        argv, check=False, capture_output=True, text=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **env}
    )


def test_bootstrap_does_nothing_when_all_is_made(tmp_path: Path) -> None:
    where = checkout(tmp_path)
    stamp = subprocess.run(
        ["sha256sum"], stdin=(where / "pyproject.toml").open(), capture_output=True, check=True
    ).stdout
    (where / ".venv/.made-from").write_bytes(stamp)
    done = bootstrap(where)
    assert (done.returncode, done.stderr) == (0, "")
    assert "setup:" not in done.stdout


def test_bootstrap_refuses_a_python_too_old(tmp_path: Path) -> None:
    where = checkout(tmp_path)
    old = where / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo Python 3.9.2\nexit 1\n')
    old.chmod(0o755)
    done = bootstrap(where, LAB_PYTHON=str(old))
    assert done.returncode == 1
    assert "Python 3.9.2; the lab needs Python 3.11" in done.stderr
