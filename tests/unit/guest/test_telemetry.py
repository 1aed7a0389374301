# SPDX-License-Identifier: GPL-2.0-only
"""lab-telemetry, really built and really sampling this machine, with or without root."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from pathlib import Path

from tests.unit.guest.programs import Tools


def fake_root(path: Path) -> Path:
    """A cgroup tree of plain files: a child with a limit, one without memory.peak, one removed while it is read."""
    files = {
        "cgroup.stat": "nr_descendants 2\nnr_dying_descendants 5\n",
        "one/memory.current": "8192\n",
        "one/memory.peak": "12288\n",
        "one/memory.max": "67108864\n",
        "one/cgroup.procs": "12\n13\n",
        "one/memory.events": "low 0\nmax 3\noom_kill 1\n",
        "one/memory.stat": "anon 4096\nfile 0\nsock 100\npgfault 7\n",
        "two/memory.current": "0\n",
        "two/memory.max": "max\n",
        "going/memory.max": "max\n",
    }
    for name, text in files.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(text)
    return path


def test_checkpoint_tells_the_cgroups(tools: Tools, tmp_path: Path) -> None:
    line, status = tools.run("lab-telemetry", "--once", "base", "--root", fake_root(tmp_path))
    assert (status, line.event, line.text("name"), line["dying"]) == (0, "checkpoint", "base", 5)
    cgroups = line.fields["cg"]
    assert isinstance(cgroups, dict)
    assert cgroups["one"] == {
        "ino": os.stat(tmp_path / "one").st_ino,
        "current": 8192,
        "peak": 12288,
        "max": 67108864,
        "procs": 2,
        "events": {"low": 0, "max": 3, "oom_kill": 1},
        "stat": {"anon": 4096, "file": 0, "sock": 100},
    }
    assert set(cgroups) == {"one", "two"}
    assert (cgroups["two"]["max"], cgroups["two"]["peak"], cgroups["two"]["procs"]) == (-1, -1, -1)


def test_a_cgroup_within_another_is_told_with_the_one_that_it_lies_in(tools: Tools, tmp_path: Path) -> None:
    for path, current in (("top", 3), ("top/mid", 2), ("top/mid/leaf", 1), ("beside", 4), ("a/b/c/d/e", 5)):
        (tmp_path / path).mkdir(parents=True)
        for folder in (tmp_path / path, *(tmp_path / path).parents):
            if tmp_path in folder.parents and not (folder / "memory.current").exists():
                (folder / "memory.current").write_text(f"{current}\n")
    line, status = tools.run("lab-telemetry", "--once", "base", "--root", tmp_path)
    cgroups = line.fields["cg"]
    assert status == 0
    assert isinstance(cgroups, dict)
    told = {name: (group.get("above"), group["current"]) for name, group in cgroups.items()}
    assert told == {
        "top": (None, 3),
        "mid": ("top", 2),
        "leaf": ("mid", 1),
        "beside": (None, 4),
        "a": (None, 5),
        "b": ("a", 5),
        "c": ("b", 5),
        "d": ("c", 5),
    }  # four levels are looked at, and no more


def test_checkpoint_tells_the_machine(tools: Tools, tmp_path: Path) -> None:
    line, _ = tools.run("lab-telemetry", "--once", "base", "--root", tmp_path / "nowhere")
    meminfo, vmstat, net = (line.fields[k] for k in ("meminfo", "vmstat", "net"))
    assert isinstance(meminfo, dict)
    assert isinstance(vmstat, dict)
    assert isinstance(net, dict)
    total = next(x for x in Path("/proc/meminfo").read_text().splitlines() if x.startswith("MemTotal:"))
    assert meminfo["MemTotal"] == int(total.split()[1]) * 1024
    assert "Active(anon)" in meminfo
    assert vmstat["nr_free_pages"] > 0
    assert set(net) == {"tcp_mem_pages", "rx_bytes", "rx_packets", "rx_dropped"}
    assert (line["dying"], line.fields["cg"]) == (-1, {})


def test_checkpoint_counts_pages_or_says_why_not(tools: Tools, tmp_path: Path) -> None:
    line, status = tools.run("lab-telemetry", "--once", "base", "--pages", "--root", fake_root(tmp_path))
    if not os.access("/proc/kpageflags", os.R_OK):
        assert (line.event, status) == ("error", 1)
        return
    pages = line.fields["pages"]
    assert isinstance(pages, dict)
    assert pages["plain"] > 0
    assert pages["free"] > 0
    assert pages["offline"] == 0
    assert set(pages["charged"]) == {str(os.stat(tmp_path / c).st_ino) for c in ("one", "two")}


def test_samples_keep_their_cadence_and_number(tools: Tools, tmp_path: Path) -> None:
    with tools.start(
        "lab-telemetry", "--out", "-", "--interval", 20, "--samples", 10, "--root", fake_root(tmp_path)
    ) as telemetry:
        _, status = telemetry.end()
    times = [x.fields["t"] for x in telemetry.lines]
    assert status == 0
    assert [x["seq"] for x in telemetry.lines] == list(range(10))
    assert isinstance(times[0], float)
    assert isinstance(times[-1], float)
    assert 0.15 < times[-1] - times[0] < 2


def test_a_reader_that_does_not_read_loses_whole_lines_only(tools: Tools, tmp_path: Path) -> None:
    argv = [str(tools.path / "lab-telemetry"), "--out", "-", "--interval", "1", "--samples", "300"]
    argv += ["--root", str(fake_root(tmp_path))]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as telemetry:
        assert telemetry.wait(timeout=60) == 0  # nobody has read yet: it never blocks
        assert telemetry.stdout is not None
        whole = telemetry.stdout.read().rsplit(b"\n", 1)[0].splitlines()
    seqs = [json.loads(x)["seq"] for x in whole]
    assert 0 < len(seqs) < 300
    assert seqs == list(range(len(seqs)))


def test_a_checkpoint_lies_between_two_samples_taken_for_it(tools: Tools, tmp_path: Path) -> None:
    asked = ("--socket", tmp_path / "ask", "--root", fake_root(tmp_path))
    never = 3600000  # but for the one at once no sample comes by itself
    with tools.start("lab-telemetry", "--out", "-", "--interval", never, "--samples", 5, *asked) as telemetry:
        telemetry.read()
        held, status = tools.run("lab-telemetry", "--once", "held", *asked)
        tools.run("lab-telemetry", "--once", "end", *asked)
        assert telemetry.end()[1] == status == 0
    before, after = (float(str(line.fields["t"])) for line in telemetry.lines[1:3])
    assert before < float(str(held.fields["t"])) < after
    assert [line["seq"] for line in telemetry.lines] == [0, 1, 2, 3, 4]


def test_a_checkpoint_without_telemetry_is_none(tools: Tools, tmp_path: Path) -> None:
    line, status = tools.run("lab-telemetry", "--once", "held", "--socket", tmp_path / "nobody")
    assert (line.event, status) == ("error", 1)
    assert "nobody" in line.text("message")


def test_a_checkpoint_that_is_not_given_its_samples_is_none(tools: Tools, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
        dead.listen()

        def hang_up() -> None:
            dead.accept()[0].close()

        ends = threading.Thread(target=hang_up)
        ends.start()
        line, status = tools.run("lab-telemetry", "--once", "held", "--socket", tmp_path / "dead")
        ends.join()
    assert (line.event, status) == ("error", 1)
    assert "takes no sample" in line.text("message")
