# SPDX-License-Identifier: GPL-2.0-only
"""`python -m tests.host SUITE`: set the lab up on another suite of Debian, and run it there. As root.

The host is a chroot, kept in the cache. This checkout's HEAD is cloned into it, and everything else is the lab's own
way: `make setup`, then its commands. Its kernel is this host's, its packages are the suite's.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from lab.cli.exits import AS_PREDICTED, BAD_INPUT, INTERRUPTED, LAB_FAILED, OTHER_VERDICT
from lab.errors import BadInput, LabError
from lab.host.commands import run
from lab.host.filecache import ensure_dir
from lab.host.interrupt import end_in_order
from lab.host.paths import cache_root, project_root
from lab.text.terminal import say
from lab.text.words import one_line

FIRST = ("ca-certificates", "git", "make")
"""Packages of a host before the lab is set up there: how a checkout comes to it."""
CERTIFICATES = Path("/usr/local/share/ca-certificates")
APT_CONF = 'Acquire::Check-Valid-Until "false";\n'  # a mirror may lag behind a suite that moves
ENVIRONMENT = {
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LAB_RESULTS": "/root/results",
    "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
}
LAB = ".venv/bin/lab"


@dataclass(frozen=True)
class Step:
    """A command in the checkout of that host, which has to exit with 0 within its limit."""

    name: str
    argv: tuple[str, ...]
    limit: timedelta


STEPS = (
    Step("setup", ("make", "setup"), timedelta(minutes=40)),
    Step("doctor", (LAB, "doctor"), timedelta(minutes=5)),
    Step("cold", (LAB, "run", "fast", "--cold", "-n", "1"), timedelta(minutes=15)),
    Step("default", (LAB, "run", "-n", "1"), timedelta(minutes=30)),
    Step("warm", (LAB, "run", "fast", "-n", "1"), timedelta(minutes=15)),
    Step("igb", (LAB, "run", "map-share", "hold", "--nic", "igb", "-n", "1"), timedelta(minutes=15)),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 each step exited with 0, 1 some did not, 2 bad input, 3 there is no such host, 130 interrupted."""
    options = _parser().parse_args(arguments)
    end_in_order()
    try:
        root = _made(options.suite, options.mirror)
        steps = [step for step in STEPS if not options.only or step.name in options.only]
        failed = [step.name for step in steps if _play(root, step)]
    except KeyboardInterrupt:
        say("interrupted", err=True)
        return INTERRUPTED
    except LabError as exc:
        say(exc, err=True)
        return BAD_INPUT if isinstance(exc, BadInput) else LAB_FAILED
    for line in told(_judged(root)):
        say(line)
    say(f"not well: {', '.join(failed)}" if failed else "all steps are well")
    return OTHER_VERDICT if failed else AS_PREDICTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.host", description=__doc__)
    parser.add_argument("suite", help="trixie, sid, ...")
    parser.add_argument("--mirror", default="http://deb.debian.org/debian", help="where its packages come from")
    parser.add_argument("--only", action="append", default=[], choices=[s.name for s in STEPS], help="repeatable")
    return parser


def _made(suite: str, mirror: str) -> Path:
    """The root of that host, with this checkout's HEAD in it. Raises BadInput, CommandFailed, HostTrouble."""
    if os.geteuid():
        raise BadInput(["another host is a chroot, which only root can enter."], hint="run this as root")
    if not suite.isalnum():
        raise BadInput([f"no suite of Debian has the name {suite!r}."], hint="trixie, or sid")

    def make(partial: Path) -> None:
        include, conf = f"--include={','.join(FIRST)}", f"--aptopt={APT_CONF.strip()}"
        run(["mmdebstrap", "--variant=minbase", include, conf, suite, str(partial / "root"), mirror])

    root = ensure_dir(cache_root() / "hosts" / suite, make, progress=lambda text: say(text, err=True)) / "root"
    _let_in(root)
    run(entering(root, ["update-ca-certificates"]))
    checkout = root / "root" / "lab"
    if not checkout.exists():
        run(["git", "clone", "-q", "--no-hardlinks", str(project_root()), str(checkout)])
    run(["git", "-C", str(checkout), "fetch", "-q", str(project_root()), "HEAD"])
    run(["git", "-C", str(checkout), "reset", "-q", "--hard", "FETCH_HEAD"])
    shutil.rmtree(root / "root" / "results", ignore_errors=True)
    return root


def _let_in(root: Path) -> None:
    """Give it this host's names, and the certificates that this host trusts beside the distribution's."""
    for certificate in CERTIFICATES.glob("*.crt"):
        shutil.copy(certificate, root / CERTIFICATES.relative_to("/"))
    for name in ("resolv.conf", "hosts"):
        shutil.copy(Path("/etc") / name, root / "etc" / name)


def entering(root: Path, argv: Sequence[str]) -> list[str]:
    """The command, to be run in that root."""
    words = [f"{name}={value}" for name, value in {**ENVIRONMENT, **_proxies()}.items()]
    script = Path(__file__).with_name("enter.sh")
    return ["sh", str(script), str(root), "env", "-i", *words, *argv]


def _proxies() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}


def _play(root: Path, step: Step) -> bool:
    """Whether a step was not well. What it says is shown."""
    say(f"--- {step.name}: {shlex.join(step.argv)}")
    began = time.monotonic()
    inside = f"cd /root/lab && exec {shlex.join(step.argv)}"
    with subprocess.Popen(entering(root, ["sh", "-c", inside]), stdin=subprocess.DEVNULL) as process:
        try:
            status = process.wait(step.limit.total_seconds())
        except subprocess.TimeoutExpired:
            status = -1
        finally:
            process.kill()  # all that runs in there has its end with it
    ended = "had no end" if status < 0 else f"exit status {status}"
    say(f"--- {step.name}: {ended} after {time.monotonic() - began:.0f} s")
    return status != 0


def _judged(root: Path) -> list[dict[str, Any]]:
    """The manifest of each run there, in the order of their sessions, with its verdict as `verdict`."""
    return [
        {**json.loads(path.read_text()), "verdict": json.loads((path.parent / "verdict.json").read_text())["verdict"]}
        for path in sorted(root.glob("root/results/*/*/manifest.json"))
    ]


def told(runs: Iterable[dict[str, Any]]) -> list[str]:
    """What was run on what, a row of a table for each set of versions; then a line for each word that was not
    predicted."""
    rows: Counter[tuple[str, ...]] = Counter()
    others = []
    for record in runs:
        host, (word, predicted) = record["host"], (record["verdict"], record["predicted"])
        versions = (host["qemu"], host["libvirt"], host["machine"], host["accelerator"], record["kernel"]["release"])
        rows[versions] += 1
        if word != predicted:
            others.append(f"{record['case']} on {record['nic']}: {word}, predicted {predicted}")
    lines = [f"| {' | '.join(versions)} | {count} |" for versions, count in rows.items()]
    return [one_line(line) for line in (*lines, *others)]


if __name__ == "__main__":
    sys.exit(main())
