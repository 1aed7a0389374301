# SPDX-License-Identifier: GPL-2.0-only
"""The carrier `slurm`, with a real slurmctld, three slurmd and a munged of our own, all of them on loopback."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from lab.fleet.answers import ask
from lab.fleet.arrival import FLEET
from lab.fleet.attempts import ENDED, GIVEN_UP
from lab.fleet.crew import Crew
from lab.host.paths import cache_root, project_root
from lab.plan.session import PLAN_FILE, SessionPlan, dump
from lab.session.conduct import Conducted, Listener, watch
from lab.units import Deadline, wait_until
from tests.unit.fleet import simulated
from tests.unit.fleet.made import plan_in

NODES = ("n1", "n2", "n3")
LONG = timedelta(seconds=120)
LACKING = [name for name in ("slurmctld", "slurmd", "munged", "sbatch") if shutil.which(name) is None]

pytestmark = [
    pytest.mark.skipif(bool(LACKING), reason=f"not installed: {', '.join(LACKING)} (slurm-wlm, munge)"),
    pytest.mark.skipif(os.geteuid() != 0, reason="slurmd needs root"),
]

CONFIG = """\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SwitchType=switch/none
MpiDefault=none
PartitionName=lab Nodes=ALL Default=YES State=UP MaxTime=INFINITE
"""


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Its configuration, with one CPU on each node. All of its processes end with the block."""
    folder = Path("/tmp") / f"lab-slurm-{secrets.token_hex(4)}"  # AF_UNIX paths end at 108 bytes
    (folder / "state").mkdir(parents=True)
    (folder / "key").write_bytes(secrets.token_bytes(1024))
    (folder / "key").chmod(0o400)
    host, ports = socket.gethostname().partition(".")[0], free_ports(1 + len(NODES))
    nodes = [
        f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1\n"
        for name, port in zip(NODES, ports[1:], strict=True)
    ]
    config = folder / "slurm.conf"
    config.write_text(CONFIG.format(host=host, ports=ports, folder=folder) + "".join(nodes))
    munge = ["munged", "--foreground", "--force", f"--key-file={folder}/key", f"--socket={folder}/munge.sock"]
    munge += [f"--{name}-file={folder}/munge.{name}" for name in ("pid", "log", "seed")]
    daemons = [munge, ["slurmctld", "-D", "-f", str(config)]]
    daemons += [["slurmd", "-D", "-N", name, "-f", str(config)] for name in NODES]
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        log = stack.enter_context((folder / "log").open("wb"))
        for argv in daemons:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            if argv is munge:
                _await((folder / "munge.sock").exists, "munged", folder)
        env = {**os.environ, "SLURM_CONF": str(config)}
        _await(lambda: _idle(env) == len(NODES), "nodes that are idle", folder)
        yield config


def _idle(env: dict[str, str]) -> int:
    done = subprocess.run(
        ["sinfo", "-h", "-N", "-t", "idle", "-o", "%N"], env=env, capture_output=True, text=True, check=False
    )
    return len(done.stdout.split())


def _await(is_so: Callable[[], bool], name: str, folder: Path) -> None:
    wait_until(lambda: (is_so() or None, (folder / "log").read_text()[-500:]), deadline=Deadline.after(name, LONG))


@pytest.fixture
def crew(cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crew]:
    """Four batches for two of the three nodes."""
    monkeypatch.setenv("SLURM_CONF", str(cluster))
    monkeypatch.setenv("PYTHONPATH", str(project_root()))
    plan = plan_in(tmp_path / "results" / f"s{secrets.token_hex(3)}", sockets=tmp_path / "sockets")
    plan = replace(plan, runs=tuple(replace(run, batch=n) for n, run in enumerate(plan.runs)))
    (plan.folder / FLEET).mkdir(parents=True)
    plan.sockets.mkdir()
    (plan.folder / PLAN_FILE).write_bytes(dump(plan, cache_root()))
    (tmp_path / "hosts.ini").write_text("")
    config = simulated.make(tmp_path / "hosts", plan, 0.5)
    made = Crew(
        tmp_path / "hosts.ini", tuple(ask(simulated.host(config, n)) for n in NODES[:2]), "slurm", print, [], plan
    )
    yield made
    made.end()


def conducted(crew: Crew, listener: Listener) -> tuple[SessionPlan, Conducted]:
    assert crew.plan is not None
    return crew.plan, watch(crew.plan, crew, listener)


def test_batches_are_done_on_the_nodes_that_are_listed(crew: Crew) -> None:
    plan, done = conducted(crew, Listener())
    assert set(done.results) == {run.id for run in plan.runs}
    attempts = crew.fleet.all_attempts()
    assert {a.state for a in attempts} == {ENDED}
    assert {a.host for a in attempts} == {"n1", "n2"}
    assert not done.interrupted


def test_what_a_node_cannot_do_another_does(crew: Crew, tmp_path: Path) -> None:
    (tmp_path / "hosts" / "cut" / "n1").touch()
    plan, done = conducted(crew, Listener())
    assert set(done.results) == {run.id for run in plan.runs}
    told = Counter((a.host, a.state) for a in crew.fleet.all_attempts())
    assert told["n2", ENDED] == len(plan.runs)
    assert told["n1", GIVEN_UP] >= 1
    assert set(told) == {("n2", ENDED), ("n1", GIVEN_UP)}


def test_ctrl_c_cancels_what_waits_and_interrupts_what_runs(crew: Crew, tmp_path: Path) -> None:
    config = tmp_path / "hosts" / "config.json"
    config.write_text(config.read_text().replace('"seconds": 0.5', '"seconds": 600'))

    def doing(told: str) -> None:
        if "as if guests ran" in told and not crew.signals:
            crew.stop(signal.SIGINT, None)

    plan, done = conducted(crew, Listener(doing=doing))
    assert done.interrupted
    attempts = crew.fleet.all_attempts()  # one may have been told to stop before its host had begun
    assert 1 <= len(done.results) == sum(a.state == ENDED for a in attempts) <= len(attempts) <= 2
    left = subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=True).stdout
    assert left == ""
    assert len(plan.runs) > len(done.results)
