# SPDX-License-Identifier: GPL-2.0-only
"""`python -m bench.judge [NAME...]`: time and peak memory of `lab judge` over bundles that are made to stall it.

Needs nothing that boots a machine. Each bundle is judged by a process of its own. Seconds are CPU time, so that a busy
host tells the same. What a plain bundle takes, the start of the interpreter and its imports, is told first, the others'
time and memory beyond it. Exit code 1 when something
exceeds its limit.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.collect.bundle import MANIFEST, BundleWriter
from lab.evidence.manifest import Manifest
from lab.units import MIB
from tests.unit.verdict.builder import story

SECONDS, MEMORY = 5.0, 200
"""What the judge may take for each, in CPU seconds, and in MiB beyond a plain bundle."""

GIVE_UP = 180

CONSOLE = "receiver/console.log"
TELEMETRY = "receiver/telemetry.jsonl"
CLIENT = "clients/abuser.jsonl"
WARN = "[  %5d.000000] WARNING: CPU: 0 PID: 1 at mm/page_counter.c:58 page_counter_cancel+0x3c/0x50\r\n"
REPORT = (
    "[  %(n)5d.000000] ------------[ cut here ]------------\r\n" + WARN.replace("%5d", "%(n)5d") + ""
    "[  %(n)5d.000000] Call Trace:\r\n"
    "[  %(n)5d.000000]  <TASK>\r\n"
    "[  %(n)5d.000000]  page_counter_uncharge+0x1d/0x30\r\n"
    "[  %(n)5d.000000] ---[ end trace 0000000000000000 ]---\r\n"
)


def _ordinary(size: int) -> bytes:
    lines = [
        b"[  %5d.000000] eth0: NIC Link is Up 1000 Mbps Full Duplex, Flow Control: RX\r\n" % n for n in range(9999)
    ]
    whole = b"".join(lines)
    return whole * (size // len(whole) + 1)


def _add(name: str, make: Callable[[], bytes]) -> Callable[[BundleWriter], None]:
    """The same bundle with something behind what a file holds."""

    def spoil(writer: BundleWriter) -> None:
        with writer.path(name).open("ab") as file:
            file.write(make())

    return spoil


def _spans(count: int) -> bytes:
    spans = [{"name": "x", "lane": "case", "began": n / 100, "ended": n / 100 + 5, "detail": ""} for n in range(count)]
    return json.dumps({"seconds": count / 100, "spans": spans}).encode()


def _telemetry(count: int) -> bytes:
    last = json.loads(story("hold").files()[TELEMETRY].splitlines()[-1])
    more = {f"line{n}": 1 << 30 for n in range(50)}
    lines = ({**last, "t": last["t"] + n / 10, "seq": last["seq"] + n} for n in range(1, count))
    return b"".join(json.dumps(line | {"meminfo": line["meminfo"] | more}).encode() + b"\n" for line in lines)


def _sparse(name: str) -> Callable[[BundleWriter], None]:
    def spoil(writer: BundleWriter) -> None:
        with writer.path(name).open("wb") as file:
            file.truncate(8 << 30)

    return spoil


def _many(writer: BundleWriter) -> None:
    for n in range(9000):
        writer.add(f"more/{n}", b"x")


BUNDLES: dict[str, Callable[[BundleWriter], None]] = {
    "plain": lambda writer: None,
    "console of 200 MB": _add(CONSOLE, lambda: _ordinary(200_000_000)),
    "console of 60 MB": _add(CONSOLE, lambda: _ordinary(60_000_000)),
    "100,000 WARN lines": _add(CONSOLE, lambda: "".join(WARN % n for n in range(100_000)).encode()),
    "20,000 WARN reports": _add(CONSOLE, lambda: "".join(REPORT % {"n": n} for n in range(20_000)).encode()),
    "console line of 10 MB": _add(CONSOLE, lambda: b"x" * 10_000_000 + b"\r\n"),
    "console line of 10 MB of stamps": _add(CONSOLE, lambda: b"[    1.000000] " * 666_666 + b"\r\n"),
    "40 MiB of newlines on the console": _add(CONSOLE, lambda: b"\n" * (40 * MIB)),
    "40 MiB of newlines in telemetry": _add(TELEMETRY, lambda: b"\n" * (40 * MIB)),
    "40 MiB of blanks in telemetry": _add(TELEMETRY, lambda: b" " * (40 * MIB)),
    "telemetry line of 10 MB": _add(TELEMETRY, lambda: b"[" * 10_000_000 + b"\n"),
    "an hour of telemetry": _add(TELEMETRY, lambda: _telemetry(36_000)),
    "client's line of 10 MB": _add(CLIENT, lambda: b'{"t":1,"event":"%s"}\n' % (b"x" * 10_000_000)),
    "2,000 spans": _add("timing.json", lambda: _spans(2_000)),
    "10,000 spans": _add("timing.json", lambda: _spans(10_000)),
    "9,000 files": _many,
    "8 GiB that are listed": _sparse("listed"),
}
UNLISTED: dict[str, Callable[[BundleWriter], None]] = {"8 GiB that are not listed": _sparse("stray")}


def make(folder: Path, name: str) -> Path:
    """The bundle of that name, whole, sealed and vouched for."""
    told, writer = story("hold"), BundleWriter(folder)
    for path, data in told.files().items():
        if path != MANIFEST:
            writer.add(path, data)
    if name == "8 GiB that are listed":  # to hash them here as well would take half a minute
        manifest = writer.finish(told.manifest)
        record = manifest.files[CONSOLE].model_copy(update={"size": 8 << 30})
        writer.append(Manifest(**manifest.model_dump() | {"files": {**manifest.files, "listed": record}}), "more", b"")
    elif name in BUNDLES:
        BUNDLES[name](writer)
        writer.finish(told.manifest)
    else:
        writer.finish(told.manifest)
    (UNLISTED | {"8 GiB that are listed": BUNDLES["8 GiB that are listed"]}).get(name, BUNDLES["plain"])(writer)
    return folder


def judged(bundle: Path) -> str:
    """The word, or what came instead."""
    argv = [sys.executable, "-m", "lab.cli", "judge", "--json", str(bundle)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            out, err = process.communicate(timeout=GIVE_UP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return "gave up"
    return json.loads(out)["verdict"] if out else err.decode("utf-8", "replace").strip().splitlines()[-1]


def measured(bundle: Path) -> tuple[float, float, str]:
    """CPU seconds, MiB at the most, and the word. In a child that waits for nobody else, so both are this judge's."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reader)
        word = judged(bundle)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        with os.fdopen(writer, "w") as file:
            json.dump([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, word], file)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        seconds, peak, word = json.load(file)
    os.waitpid(child, 0)
    return seconds, peak, word


def main(names: Sequence[str]) -> int:
    """Measure and print."""
    known = {**BUNDLES, **UNLISTED}
    wanted = ["plain", *(n for n in known if n != "plain" and (not names or any(part in n for part in names)))]
    start, within = (0.0, 0.0), True
    for name in wanted:
        with tempfile.TemporaryDirectory(prefix="lab-judge-") as scratch:
            seconds, peak, word = measured(make(Path(scratch) / "b", name))
        if name == "plain":
            start = (seconds, peak)
            print(f"{name:36} {seconds:6.1f} s {peak:6.0f} MiB         {word}")
            continue
        ok = seconds - start[0] < SECONDS and peak - start[1] < MEMORY and word != "gave up"
        within = within and ok
        more = f"{seconds - start[0]:+6.1f} s {peak - start[1]:+6.0f} MiB"
        print(f"{name:36} {more}  {'' if ok else 'TOO MUCH'} {word}", flush=True)
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
