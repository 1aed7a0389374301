# SPDX-License-Identifier: GPL-2.0-only
"""What a nightly is told by, and what it writes for others: its file, units of systemd, recipes for CI services."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from lab.campaign.sources import source_of
from lab.campaign.tracks import command_of, is_of
from lab.campaign.units import install
from lab.errors import BadInput
from lab.host.paths import project_root
from lab.spec.night import load_night
from tests.unit.cli.conftest import Lab

DOCS = project_root() / "docs"
RECIPES = DOCS / "recipes"

WRONG = """
hours = 0
colour = "red"
suites = ["default"]
[[target]]
name = "a b"
kernel = "6.12"
[[target]]
name = "both"
kernel = "6.12"
repo = "."
[[target]]
name = "half"
repo = "."
[mail]
to = ["x@y"]
form = "z"
"""


def test_every_problem_of_the_file_is_told_at_once() -> None:
    with pytest.raises(BadInput) as caught:
        load_night(WRONG, "n.toml")
    told = "\n".join(caught.value.problems)
    for key in ("hours", "colour", "target.0.name", "target.1", "target.2", "mail.form"):
        assert f"n.toml: {key}: " in told, told


def test_what_the_file_names_is_looked_for_before_anything_begins(lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "n.toml"
    file.write_text(
        'suites = ["defualt"]\nnics = ["virtoi"]\nknown = "nosuch.toml"\n[mail]\nto = ["nobody"]\nsmtp = ":1"\n'
        '[[target]]\nname = "a"\nseries = "nosuch"\nbase = "6.12"\n'
    )
    told = lab("nightly", file, "--only", "b")
    assert told.exit_code == 2
    for wanted in ("'defualt'", "'virtoi'", "nosuch.toml", "mail.to", "mail.smtp", "series", "unknown target 'b'"):
        assert wanted in told.stderr, told.stderr
    assert not (tmp_path / "results").exists()
    assert lab("nightly", tmp_path / "nosuch.toml").exit_code == 2


def test_the_file_in_the_docs_is_one() -> None:
    text = (DOCS / "nightly.md").read_text()
    blocks = [
        "\n".join(line[4:] for line in block.splitlines()) for block in re.findall(r"(?:^(?:    .*)?\n)+", text, re.M)
    ]
    (night,) = [block for block in blocks if "[[target]]" in block]
    spec = load_night(night, "docs/nightly.md")
    assert [target.name for target in spec.target] == ["stable", "net-next", "v4"]
    (known,) = [block for block in blocks if "[[issue]]" in block]
    from lab.spec.known import load_known

    assert load_known(known, "docs/nightly.md")[0].since == "2026-11-20"
    assert tomllib.loads(known)


def test_a_history_hangs_on_the_file_s_name_and_the_target_s() -> None:
    mine = is_of(Path("/a/night.toml"), "stable")
    assert mine(command_of(Path("/b c/night.toml"), "stable"))
    assert not mine(command_of(Path("/a/night.toml"), "other"))
    assert not mine(command_of(Path("/a/other.toml"), "stable"))
    assert not mine("lab run hold")
    assert not mine("lab nightly 'x --only stable")


def test_a_branch_is_fetched_and_one_that_cannot_be_is_tested_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))

    def git(*words: str, where: str = "clone") -> None:
        subprocess.run(["git", "-C", str(tmp_path / where), *words], check=True, capture_output=True)

    for name in ("there", "clone"):
        (tmp_path / name).mkdir()
    identity = ("-c", "user.name=x", "-c", "user.email=x@y")
    git("init", "-q", "-b", "main", where="there")
    git(*identity, "commit", "-q", "--allow-empty", "-m", "one", where="there")
    git("init", "-q")
    git("remote", "add", "origin", str(tmp_path / "there"))
    git("fetch", "-q", "origin")
    git(*identity, "commit", "-q", "--allow-empty", "-m", "two", where="there")
    (target,) = load_night('[[target]]\nname = "t"\nrepo = "clone"\nbranch = "origin/main"\n', "n").target
    argv = ["git", "-C", str(tmp_path / "there"), "rev-parse", "main"]
    new = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    source = source_of(target, tmp_path, lambda _: None)
    assert (source.name, source.commit, source.notes) == ("nightly-t", new, ())
    shutil.rmtree(tmp_path / "there")
    again = source_of(target, tmp_path, lambda _: None)
    assert again.commit == source.commit
    assert "could not be fetched" in again.notes[0]


def test_units_are_written_and_how_to_undo_them_is_said(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    file = tmp_path / "my $dir 100%" / "n.toml"
    file.parent.mkdir()
    file.write_text('hours = 2\n[[target]]\nname = "a"\nkernel = "6.12"\n')
    told = lab("nightly", file, "--install", "--at", "02:15")
    assert told.exit_code == 0
    said = " ".join(told.stdout.split())
    folder = tmp_path / "config" / "systemd" / "user"
    names = {"lab-nightly-n.service", "lab-nightly-n-resume.service", "lab-nightly-n.timer"}
    assert {path.name for path in folder.iterdir()} == names
    assert "nothing is started yet" in said
    assert "disable --now lab-nightly-n.timer" in said
    assert "OnCalendar=*-*-* 02:15:00" in (folder / "lab-nightly-n.timer").read_text()
    service = (folder / "lab-nightly-n.service").read_text()
    assert "RuntimeMaxSec=7800" in service
    assert 'my $$dir 100%%/n.toml"' in service
    assert "--resume" in (folder / "lab-nightly-n-resume.service").read_text()
    (tmp_path / "hosts.ini").write_text("one ansible_connection=local\n")
    assert lab("nightly", file, "--install", "--hosts", tmp_path / "hosts.ini", "--carrier", "local").exit_code == 0
    for name in names - {"lab-nightly-n.timer"}:
        assert f'"--hosts" "{tmp_path}/hosts.ini" "--carrier" "local"' in (folder / name).read_text()
    assert lab("nightly", file, "--install", "--at", "25:00").exit_code == 2
    if verify := shutil.which("systemd-analyze"):
        (file.parent / "x").mkdir()
        argv = [verify, "--user", "verify", *(str(folder / name) for name in sorted(names))]
        ended = subprocess.run(
            argv, capture_output=True, text=True, check=False, env={"XDG_RUNTIME_DIR": "/tmp", "PATH": "/usr/bin"}
        )
        ours = [line for line in ended.stderr.splitlines() if "lab-nightly" in line]
        assert not ours, ended.stderr


def test_a_unit_names_nothing_that_has_two_lines(tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        install(tmp_path / "a\nExecStart=b.toml", tmp_path, 1, "01:30")


def test_the_recipe_for_gitlab_is_one() -> None:
    recipe = yaml.safe_load((RECIPES / "gitlab-ci.yml").read_text())
    job = recipe["nightly"]
    assert any("lab nightly" in line for line in job["script"])
    assert job["artifacts"]["reports"]["junit"] == "junit.xml"
    assert set(job) <= {
        *("tags", "rules", "resource_group", "timeout", "variables", "script"),
        "after_script",
        "artifacts",
    }


def test_the_recipe_for_github_is_one() -> None:
    recipe = yaml.load((RECIPES / "github-workflow.yml").read_text(), yaml.BaseLoader)  # noqa: S506 - `on` is no boolean
    assert set(recipe) == {"name", "on", "concurrency", "jobs"}
    steps = recipe["jobs"]["nightly"]["steps"]
    assert all(len({"uses", "run"} & set(step)) == 1 for step in steps)
    assert any("lab nightly" in step.get("run", "") for step in steps)
    assert re.fullmatch(r"(\S+ ){4}\S+", recipe["on"]["schedule"][0]["cron"])


def test_the_recipe_for_jenkins_is_balanced() -> None:
    """No Groovy is at hand: brackets and quotes balance, and the sections of a declarative pipeline are there."""
    text = re.sub(r"^//.*$", "", (RECIPES / "Jenkinsfile").read_text(), flags=re.MULTILINE)
    bare = re.sub(r"'[^'\n]*'", "''", text)
    assert bare.count("'") % 2 == 0
    stack: list[str] = []
    for char in bare:
        if char in "({[":
            stack.append(char)
        elif char in ")}]":
            assert stack.pop() + char in ("()", "{}", "[]")
    assert not stack
    for section in ("agent", "triggers", "options", "environment", "stages", "steps", "post"):
        assert re.search(rf"^\s*{section}\b", bare, re.MULTILINE), section


@pytest.mark.parametrize("name", ["gitlab-ci.yml", "github-workflow.yml", "Jenkinsfile"])
def test_recipes_call_commands_and_options_that_there_are(lab: Lab, name: str) -> None:
    calls = re.findall(r"lab nightly ([^\n']*)", (RECIPES / name).read_text())
    assert calls
    helped = lab("nightly", "--help").stdout
    assert all(option in helped for call in calls for option in re.findall(r"--\w+", call))
