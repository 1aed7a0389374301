# SPDX-License-Identifier: GPL-2.0-only
"""python -m tests.speed [BUNDLE...]: the words of bundles (of those that are kept) at each speed, as a table.

-v        says what made an ERROR          --free   what is held to a rate goes as fast as the host
--clock   clients speak by the clock alone, as they did before they said a line for every MiB that they keep
--pack    no table: these bundles are the ones that are kept from now on
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from lab.collect.bundle import read_bundle
from lab.evidence.bundle import parse
from lab.verdict.model import Verdict, Word
from tests.known import judge
from tests.speed.corpus import kept, pack
from tests.speed.thinned import Host, thinned

SPEEDS = (0.25, 1, 2, 4, 8, 16, 32)
PHASES = (0.0, 0.6)


def verdicts(files: Mapping[str, bytes], times: float, options: set[str]) -> list[Verdict]:
    hosts = (
        Host(times, phase, held_to_rate="--free" not in options, by_bytes="--clock" not in options)
        for phase in (PHASES if times > 1 else PHASES[:1])
    )
    return [judge(parse(thinned(files, host))) for host in hosts]


def main() -> None:
    options = {a for a in sys.argv[1:] if a.startswith("-")}
    folders = [Path(a) for a in sys.argv[1:] if not a.startswith("-")]
    if "--pack" in options:
        return pack(folders)
    bundles = {str(f): dict(read_bundle(f).items()) for f in folders} or kept()
    print("| design | NIC | case |", " | ".join(f"{times:g}" for times in SPEEDS), "|")
    print("|---|---|---|" + "---|" * len(SPEEDS))
    for files in bundles.values():
        row = [verdicts(files, times, options) for times in SPEEDS]
        words = ["/".join(sorted({v.word.value for v in found})) for found in row]
        manifest = parse(files).manifest
        print(f"| {manifest.kernel.design} | {manifest.nic} | `{manifest.case}` |", " | ".join(words), "|", flush=True)
        for finding in (f for found in row for v in found for f in v.findings if "-v" in options):
            if finding.word in (Word.ERROR, Word.MISS):
                print("   ", finding.rule, finding.message[:300])
    return None


if __name__ == "__main__":
    main()
