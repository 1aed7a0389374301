# SPDX-License-Identifier: GPL-2.0-only
"""docs/exits.md is true: the real command, in a process of its own, for each row that needs no guest."""

from __future__ import annotations

import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lab.cli
from lab.campaign.bisect.record import save
from lab.fleet.orders import dump_order
from lab.host.paths import project_root
from tests.unit.campaign.world import World, line_of, searched
from tests.unit.cli.conftest import write_run, write_session
from tests.unit.fleet.made import order_of, plan_in
from tests.unit.kernels.binaries import vmlinux
from tests.unit.verdict.machine import KERNELS
from tests.unit.verdict.told import with_digest

LAB = f"{shlex.quote(sys.executable)} -P -m lab.cli"
GUESTS = "*guests*"

# command, situation: command lines (`lab` is the lab's, shell syntax is understood), exit code, what is said
ROWS: dict[tuple[str, str], tuple[list[str], int, str]] = {
    ("any", "unknown command or option, or a value of the wrong kind"): (
        ["lab nosuch", "lab run --nosuch", "lab run --repeat many", "lab kernel nosuch"],
        2,
        "(?i)no such|a valid integer",
    ),
    ("any", "`--help`"): (["lab --help"], 0, "Usage"),
    ("any", "no command, or a group without one: help"): (["lab", "lab cache"], 2, "Usage"),
    ("any", "the reader of its output goes away"): (
        ["set -o pipefail; lab cases | head -c 1 >&2", "set -o pipefail; lab cases --json | true"],
        0,
        "",
    ),
    ("any", "its output is closed"): (["lab cases >&-", "lab cases <&- >&- 2>&-", "nohup lab cases >/dev/null"], 0, ""),
    ("any", "a `lab.toml` with something wrong: all of it is told"): (
        ["LAB_CONFIG=wrong.toml lab nics", "LAB_CONFIG=nosuch lab cache list"],
        2,
        "hours: no such command|no such file",
    ),
    ("any", "its output is a full disk"): (["lab cases >/dev/full"], 3, "No space left on device"),
    ("run", "unknown case, suite or NIC profile; numbers out of range"): (
        ["lab run nosuch", "lab run hold --nic nosuch", "lab run hold -n 0", "lab run hold --repeat 99999999999"],
        2,
        "lab: ",
    ),
    ("run", "`--results` is a file, or lies in one"): (
        ["lab run hold --results file", "lab run hold --results file/x", "LAB_RESULTS=file lab run hold"],
        2,
        "file is no folder",
    ),
    ("run", "a kernel that is not there"): (["lab run hold --kernel /nosuch"], 2, "/nosuch: there is no such file"),
    ("run", "too few files may be open (`ulimit -n 64`)"): (["ulimit -n 64; lab run hold"], 3, "64 files at once"),
    ("run", "a time or an expected word that is none; options that make no sense beside each other"): (
        ["lab run --timeout soon", "lab run hold --expect MISS", "lab run --dry-run --resume x", "lab run --of s"],
        2,
        "lab: ",
    ),
    ("run --dry-run", "what would be run"): (
        ["lab run hold --kernel ./vmlinux --nic virtio --dry-run"],
        0,
        "1 run, 1 at once",
    ),
    ("run --rerun-failed", "nothing failed"): (["lab run --rerun-failed --of s1 --results both"], 0, "as predicted"),
    (
        "run --rerun-failed",
        "no such session, or none stored; suites, cases, `--nic` or `--repeat` beside it",
    ): (
        ["lab run --rerun-failed --of nosuch", "lab run --rerun-failed --results empty", "lab run hold --rerun-failed"],
        2,
        "lab: ",
    ),
    ("run --for-bisect", "a command that makes no sense, an unknown option, a kernel that is not there: git stops"): (
        [
            "lab run nosuch --for-bisect",
            "lab run hold --kernel /nosuch --for-bisect",
            "lab run hold --kernle 6.12 --for-bisect",
        ],
        128,
        "lab: |No such option",
    ),
    ("run --for-bisect", "too few files may be open, or other trouble of the host: the commit is skipped"): (
        ["ulimit -n 64; lab run hold --for-bisect"],
        125,
        "64 files at once",
    ),
    ("show", "a stored run or session, whatever its verdict"): (["lab show", "lab show failed", "lab show s"], 0, ""),
    ("show", "unknown run, or none stored"): (
        ["lab show nosuch", "lab show --results empty", "lab show --results file"],
        2,
        "lab: ",
    ),
    ("new case", "the case is written"): (["lab new experiment own; lab new case second --in own"], 0, "second"),
    ("new case", "a name that is taken or no name, a folder that is no experiment"): (
        ["lab new case hold", "lab new case No_name", "lab new case x --in empty"],
        2,
        "lab: ",
    ),
    ("new experiment", "the experiment is written"): (["lab new experiment another"], 0, "another"),
    ("new experiment", "no name, or a folder that is there"): (
        ["lab new experiment empty", "lab new experiment No_name"],
        2,
        "lab: ",
    ),
    ("report", "the reports are written"): (["lab report"], 0, r"report\.html"),
    ("report", "unknown session, or none stored; bundles of it were pruned"): (
        ["lab report nosuch", "lab report --results empty", "lab report p1 --results pruned"],
        2,
        "lab: ",
    ),
    ("report --mail", "the mail, or that nothing is new"): (
        ["lab report s3 --mail --results both", "lab report s2 --mail --results both"],
        0,
        "Reproduce:|nothing new",
    ),
    ("report --mail", "no session before it, an address that is none"): (
        ["lab report s1 --mail --results both", "lab report --mail --to nobody --results both"],
        2,
        "lab: ",
    ),
    ("report --kcidb", "the document"): (["lab report --kcidb thelab --results both"], 0, '"thelab:'),
    ("report --kcidb", "an origin that is none"): (["lab report --kcidb Me --results both"], 2, "an origin is"),
    ("judge", "PASS or FAIL as predicted"): (["lab judge passed", "lab judge foreseen passed"], 0, "as predicted"),
    ("judge", "FAIL or PASS that was not predicted"): (["lab judge failed", "lab judge passed failed"], 1, "FAIL"),
    ("judge", "MISS or ERROR that was not predicted"): (
        ["lab judge missed", "lab judge altered", "lab judge failed missed passed"],
        3,
        "MISS|ERROR",
    ),
    ("judge", "nothing but SKIPs, as the run that made them"): (["lab judge skipped"], 3, "igb needs QEMU 8"),
    ("judge", "a folder of runs or sessions: as all of them"): (["lab judge good"], 0, "as predicted"),
    ("judge", "no such folder, one without a run, or a manifest that cannot be read"): (
        ["lab judge nosuch", "lab judge empty", "lab judge file", "lab judge broken", "lab judge passed empty"],
        2,
        "lab: ",
    ),
    ("shell", "unknown NIC profile, role or run"): (
        ["lab shell --nic x", "lab shell --role x", "lab shell x"],
        2,
        "'x'",
    ),
    ("shell", "the host cannot run the NIC profile"): (
        ["PATH=empty lab shell -k 6.12 --nic igb"],
        2,
        "cannot run here",
    ),
    ("selftest", "unknown NIC profile, a source that is no kernel tree, a time-out below 0"): (
        ["lab selftest net --source empty --nic nosuch --timeout=-1"],
        2,
        "3 problems",
    ),
    ("selftest", "`--results` is a file"): (["lab selftest net --results file"], 2, "file is no folder"),
    ("kernel build", "neither names nor a description, an unknown name, a series that is not there"): (
        ["lab kernel build", "lab kernel build nosuch", "lab kernel build --base 6.12 --series nosuch --name x"],
        2,
        "lab: ",
    ),
    ("kernel list", "the list"): (["lab kernel list", "lab kernel list --json"], 0, ""),
    ("kernel show", "a kernel that is not built"): (["lab kernel show nosuch"], 2, "is not built"),
    ("kernel config", "a kernel that is not built"): (["lab kernel config nosuch X"], 2, "is not built"),
    ("kernel forget", "a name that was never given"): (["lab kernel forget nosuch"], 2, "'nosuch'"),
    ("kernel prune", "done, or nothing to do"): (["lab kernel prune"], 0, "nothing to remove"),
    ("kernel prune", "a number out of range"): (
        ["lab kernel prune --unused-for nan", "lab kernel prune --unused-for 1e30", "lab kernel prune --most=-1"],
        2,
        "Invalid value",
    ),
    ("nics", "the list"): (["lab nics", "PATH=empty lab nics --json"], 0, "virtio"),
    ("nics", "unknown NIC profile"): (["lab nics --nic nosuch"], 2, "'nosuch'"),
    ("nics --measure", "every profile was skipped"): (["PATH=empty lab nics --measure --nic igb"], 3, "skipped: "),
    ("cases", "the list"): (["lab cases"], 0, "hold"),
    ("cache list", "the list"): (["lab cache list"], 0, "0 states"),
    ("cache prune", "done, or nothing to do; `--dry-run`"): (
        ["lab cache prune", "lab cache prune --dry-run"],
        0,
        "nothing to remove",
    ),
    ("cache prune", "a number out of range"): (
        ["lab cache prune --most nan", "lab cache prune --unused-for=-1"],
        2,
        "Invalid value",
    ),
    ("archive list", "the list, be the index missing or damaged"): (
        ["lab archive list", "lab archive list --json", "lab archive list --results spoilt", "lab archive list --all"],
        0,
        "s1",
    ),
    ("archive list", "no such results folder"): (
        ["lab archive list --results nosuch", "lab archive list --results file"],
        2,
        "no such folder|no folder",
    ),
    ("archive list", "a newer lab wrote the index"): (["lab archive list --results newer"], 3, "a newer lab wrote it"),
    ("archive show", "a stored or pruned run, or a session, whatever its verdict"): (
        [
            "lab archive show failed",
            "lab archive show hold --json",
            "lab archive show s1",
            "lab archive show s1 --json",
        ],
        0,
        "FAIL|PASS",
    ),
    ("archive show", "unknown run or session"): (["lab archive show nosuch"], 2, "no run or session 'nosuch'"),
    ("archive rebuild", "done, also where bundles cannot be read, which is told"): (
        ["lab archive rebuild --results spoilt"],
        0,
        "not in the archive: .*manifest",
    ),
    ("archive prune", "done, or nothing to do"): (
        ["lab archive prune --results spoilt", "lab archive prune --dry-run --keep-days 0"],
        0,
        "0 bundles",
    ),
    ("archive prune", "a number out of range"): (
        ["lab archive prune --keep-days nan", "lab archive prune --keep-days=-1", "lab archive prune --most=-1"],
        2,
        "Invalid value",
    ),
    ("archive add", "the place is known"): (["lab archive add passed --results spoilt"], 0, "1 runs in passed"),
    ("archive add", "a folder that holds no bundle"): (["lab archive add empty --results spoilt"], 2, "no bundle"),
    ("archive forget", "the place is no longer known"): (
        ["lab archive add foreseen --results spoilt; lab archive forget foreseen --results spoilt"],
        0,
        "",
    ),
    ("archive forget", "a place that was not added"): (["lab archive forget empty"], 2, "was not added"),
    ("compare", "nothing got worse"): (
        [
            "lab compare s1 s2 --results both",
            "lab compare s2 s2 --results both --json",
            "lab compare k k --results both",
        ],
        0,
        "",
    ),
    ("compare", "a new fail, a cell that is gone, gives no verdict any more or became flaky, a number that moved"): (
        [
            "lab compare --results both",
            "lab compare --last 1 --results both",
            "lab compare s2 s3 --json --results both",
        ],
        1,
        "new fail",
    ),
    ("compare", "one side, a side of which there are no runs, `--last` beside two sides"): (
        [
            *("lab compare s1 --results both", "lab compare s1 nosuch --results both"),
            *("lab compare s1 s2 --last 2 --results both", "lab compare 2020-01-01 s1 --results both"),
            *("lab compare 2026-13-01 s1 --results both", "lab compare --results empty", "lab compare --last 0"),
        ],
        2,
        "lab: |Invalid value",
    ),
    ("history", "the runs of a case, whatever their verdict"): (
        ["lab history hold --results both", "lab history hold --nic e1000e-split --kernel 6.12 --json --results both"],
        0,
        "FAIL",
    ),
    ("compare", "all that got worse is a known issue (`--known`)"): (
        ["lab compare s2 s3 --results both --known known.toml"],
        0,
        "known",
    ),
    ("compare", "a file of known issues with something wrong"): (
        ["lab compare s2 s3 --results both --known wrong.toml"],
        2,
        "wrong.toml",
    ),
    ("history", "a case of which there are no runs"): (
        ["lab history nosuch --results both", "lab history hold --nic virtio --results both"],
        2,
        "there are no runs of",
    ),
    (
        "nightly",
        "`--check` of a file with which nothing is wrong; `--install`; `--resume` where no night was cut off",
    ): (
        [
            "lab nightly night.toml --check",
            "XDG_CONFIG_HOME=config lab nightly night.toml --install",
            "lab nightly night.toml --resume",
        ],
        0,
        "",
    ),
    ("nightly", "no such file, or one with something wrong; unknown target; a time that is none"): (
        [
            "lab nightly nosuch.toml",
            "lab nightly wrong.toml",
            "lab nightly night.toml --only x",
            "XDG_CONFIG_HOME=config lab nightly night.toml --install --at 25",
        ],
        2,
        "lab: ",
    ),
    ("nightly", "another nightly is at work on the results folder"): (
        ["exec 9>results/.nightly/lock; flock 9; lab nightly night.toml"],
        3,
        "another nightly is at work",
    ),
    ("since", "what packaged kernels said, whatever it is"): (
        ["lab since --results both", "lab since hold --nic e1000e-split --json --results both"],
        0,
        "FAIL",
    ),
    ("since", "nothing of that was run on a packaged kernel"): (
        ["lab since nosuch --results both", "lab since --nic virtio --results both"],
        2,
        "no such runs",
    ),
    ("site", "the pages are written, or nothing is new; a bundle that cannot be read is told"): (
        ["lab site site1 --results both; lab site site1 --results both", "lab site site2 --results spoilt"],
        0,
        "index.html",
    ),
    ("site", "no such results folder; a folder that holds something else"): (
        ["lab site site3 --results nosuch", "lab site both --results results", "lab site file", "lab site results/x"],
        2,
        "no such folder|something else|no folder|lies in the results folder",
    ),
    ("mutants", "`--list`"): (["lab mutants --list"], 0, "claimed by"),
    ("mutants", "unknown mutant or design, no base, numbers out of range"): (
        [
            "lab mutants nosuch",
            "lab mutants --design nosuch",
            "lab mutants --base a/b",
            "lab mutants --repeat 0",
            "lab mutants -n x",
        ],
        2,
        "lab: |Invalid value",
    ),
    ("batch", "an order that cannot be read, or makes no sense: all of it is told"): (
        ["lab batch nosuch --out o", "lab batch file --out o", "lab batch senseless.json --out o"],
        65,
        "lab: ",
    ),
    ("batch", "trouble of this host or the lab: disk, clock, another lab, an artefact; `batch.json` says what"): (
        ["lab batch order.json --out o"],
        75,
        "lab: the order comes from",
    ),
    ("batch", "neither an order nor `--serve`"): (["lab batch", "lab batch order.json"], 2, "--out DIR, or --serve"),
    ("run --hosts", "no such list, a list that cannot be read, an unknown carrier, `--resume` without it"): (
        [
            *("lab nightly night.toml --check --hosts nosuch", "lab mutants --hosts hosts.ini --carrier pigeon"),
            "lab bisect --resume searched --hosts nosuch",
            *("lab run hold --hosts nosuch", "lab run hold --hosts senseless.json", "lab run --resume s1"),
            *("lab run hold --hosts hosts.ini --carrier pigeon", "lab run --hosts hosts.ini --resume nosuch"),
        ],
        2,
        "lab: ",
    ),
    ("bisect", "no case, no history or several, ends that are not there, a budget or confidence that is none"): (
        [
            "lab bisect",
            "lab bisect --case hold",
            "lab bisect --case hold --packages 6.12..7.3 --repo .",
            "lab bisect --case hold --repo . --good x --bad y --nic nosuch",
            "lab bisect --case hold --packages 6.12 --budget soon",
            "lab bisect --case hold --repo empty --good x --bad y --confidence 2",
        ],
        2,
        "lab: ",
    ),
    ("run --hosts", "no host can be used"): (["lab run hold --hosts hosts.ini"], 3, "no host can be used: one: "),
    ("hosts list", "no such list, or one that makes no sense"): (
        ["lab hosts list nosuch", "lab hosts list senseless.json"],
        2,
        "lab: ",
    ),
    ("hosts list", "a host that cannot be used"): (["lab hosts list hosts.ini"], 3, "one"),
    ("hosts doctor", "a host that cannot be used"): (["lab hosts doctor hosts.ini"], 3, "one: "),
    ("hosts setup", "no such list, or one that makes no sense"): (["lab hosts setup nosuch"], 2, "no such file"),
    ("bisect", "`--resume` of a folder without a search, or beside what a search is begun with"): (
        ["lab bisect --resume empty", "lab bisect --resume searched --case hold"],
        2,
        "no search in it|--resume goes on",
    ),
    ("bisect show", "a search, finished or not"): (["lab bisect show searched"], 0, "culprit: c3"),
    ("bisect show", "a folder without a search"): (["lab bisect show empty"], 2, "no search in it"),
    ("bisect log", "a search, finished or not"): (["lab bisect log searched"], 0, "git bisect bad c3"),
    ("bisect log", "a folder without a search"): (["lab bisect log empty"], 2, "no search in it"),
    ("bisect report", "a search, finished or not"): (["lab bisect report searched"], 0, "regzbot introduced: c3"),
    ("bisect report", "a folder without a search"): (["lab bisect report empty"], 2, "no search in it"),
    ("bisect report", "`--kcidb`, a culprit"): (["lab bisect report searched --kcidb mine"], 0, '"code": true'),
    ("bisect report", "`--kcidb`, an origin that is none"): (
        ["lab bisect report searched --kcidb M!"],
        2,
        "an origin is letters",
    ),
    ("doctor", "the lab cannot run here"): (["PATH=empty lab doctor"], 3, "cannot run here yet"),
}

ELSEWHERE = {("kernels", "the list")}
"""It asks the host's package manager."""


def documented() -> dict[tuple[str, str], str]:
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", (project_root() / "docs" / "exits.md").read_text(), re.M)
    return {(command.strip("`"), situation): code for command, situation, code in rows if command != "command"}


def test_the_table_and_these_tests_have_the_same_rows() -> None:
    told = {row: code for row, code in documented().items() if not row[1].startswith(GUESTS) and row not in ELSEWHERE}
    assert told == {row: str(code) for row, (_, code, _) in ROWS.items()}


def test_every_command_is_in_the_table() -> None:
    app = lab.cli.assembled()
    groups = {f"{g.name} {c.name or c.callback.__name__}" for g in app.registered_groups for c in _commands(g)}
    commands = {c.callback.__name__ for c in app.registered_commands if c.callback}
    assert groups | commands <= {command for command, _ in documented()}


def _commands(group: Any) -> list[Any]:  # noqa: ANN401 - typer tells little of its own
    return list(group.typer_instance.registered_commands)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stored runs of every word, and what is none."""
    made = tmp_path_factory.mktemp("exits")
    (made / "empty").mkdir()
    (made / "file").touch()
    write_session(made / "results", "s1", ("hold",))
    write_run(made / "results" / "s1" / "failed.x", "hold", kernel=KERNELS["stock"])
    write_run(made / "passed", "hold")
    write_run(made / "good" / "a", "hold")
    (made / "vmlinux").write_bytes(vmlinux())
    write_run(made / "failed", "hold", kernel=KERNELS["stock"])
    write_run(made / "foreseen", "hold", predicted="FAIL", kernel=KERNELS["stock"])
    incident = {"kind": "qemu-exit", "guest": "receiver", "detail": "killed", "t": "2026-01-01T00:00:00+00:00"}
    _changed(write_run(made / "missed", "hold"), incidents=[incident])
    (write_run(made / "altered", "hold") / "receiver" / "console.log").write_text("not what it was\n")
    _changed(write_run(made / "skipped", "hold"), skip="igb needs QEMU 8", predicted="SKIP")
    (write_run(made / "broken", "hold") / "manifest.json").write_text("{")
    write_session(made / "spoilt", "s1", ("hold",))
    (write_run(made / "spoilt" / "s1" / "broken.x", "hold") / "manifest.json").write_text("{")
    (made / "spoilt" / ".archive").mkdir()
    (made / "spoilt" / ".archive" / "index-1.sqlite3").write_text("nonsense")
    for number in range(1, 4):
        _, (bundle,) = write_session(made / "both", f"s{number}", ("hold",))
        write_run(bundle, "hold", kernel=KERNELS["put-hook" if number < 3 else "stock"])
        _changed(bundle, started=f"2026-02-0{number}T00:00:00.000+00:00")
    _, (gone,) = write_session(made / "pruned", "p1", ("hold",))
    (gone / "manifest.json").rename(gone / "pruned.json")
    (made / "searched").mkdir()
    save(made / "searched", searched(World(line_of(6), "c3")))
    (made / "night.toml").write_text('[[target]]\nname = "a"\nkernel = "6.12"\n')
    (made / "wrong.toml").write_text("hours = 0\n")
    (made / "known.toml").write_text('[[issue]]\nid = "one"\ncase = "hold"\n')
    (made / "results" / ".nightly").mkdir()
    (made / "newer" / ".archive").mkdir(parents=True)
    with sqlite3.connect(made / "newer" / ".archive" / "index-1.sqlite3") as future:
        future.execute("PRAGMA application_id = 0x4C414221")
        future.execute("PRAGMA user_version = 99")
    _orders(made)
    return made


def _orders(folder: Path) -> None:
    """An order of another lab, one that makes no sense, and a list of a host that is not there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_CACHE", str(folder / "cache"))
        order = order_of(plan_in(folder))
    (folder / "order.json").write_bytes(dump_order(order.model_copy(update={"lab_code": "0" * 64})))
    (folder / "senseless.json").write_bytes(dump_order(order.model_copy(update={"batch": "../x", "attempt": 0})))
    (folder / "hosts.ini").write_text("one ansible_host=127.0.0.1 ansible_port=1\n")


def _changed(bundle: Path, **fields: object) -> None:
    path = bundle / "manifest.json"
    path.write_bytes(with_digest(json.loads(path.read_text()) | fields))


def by_shell(line: str, folder: Path, env: dict[str, str], said: Path) -> tuple[int, str]:
    script = f'lab() {{ {LAB} "$@"; }}; {line.replace("nohup lab", f"nohup {LAB}")}'
    env = {**env, "PYTHONPATH": str(project_root())}
    with said.open("wb") as out:
        done = subprocess.run(
            ["bash", "-c", script], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False
        )
    return done.returncode, said.read_text()


def forked(line: str, folder: Path, env: dict[str, str], said: Path) -> tuple[int, str]:
    """The same in a fork of this process: an interpreter that imports the lab anew takes half a second."""
    words = shlex.split(line)
    argv = words[words.index("lab") :]
    pid = os.fork()
    if pid == 0:
        try:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(env | dict(word.split("=") for word in words[: words.index("lab")]))
            out = os.open(said, os.O_WRONLY | os.O_CREAT)
            for here, there in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (out, 2)):
                os.dup2(here, there)
            sys.argv, sys.stdout, sys.stderr = argv, sys.__stdout__, sys.__stderr__
            lab.cli.main()
        except SystemExit as exc:
            os._exit(exc.code if isinstance(exc.code, int) else 0 if exc.code is None else 1)
        finally:
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.read_text()


@pytest.mark.parametrize(
    ("line", "code", "said"), [(line, code, said) for lines, code, said in ROWS.values() for line in lines]
)
def test_a_row_of_the_table(line: str, code: int, said: str, folder: Path, tmp_path: Path) -> None:
    given = {key: value for key, value in os.environ.items() if not key.startswith(("LAB_", "PYTEST_"))}
    env = given | {
        "LAB_CONFIG": "",
        "LAB_CACHE": str(tmp_path / "cache"),
        "LAB_RUNTIME": str(tmp_path),
        "COLUMNS": "200",
    }
    ended, text = (by_shell if re.search("[<>|;]|nohup", line) else forked)(line, folder, env, tmp_path / "said")
    assert ended == code, text
    assert "Traceback" not in text
    assert re.search(said, text), text
    assert not list(tmp_path.glob("lab-*")), "it leaves nothing behind"
