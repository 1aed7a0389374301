"""python -m tests.speed BUNDLE...: the word of each bundle at each speed, as a table in markdown."""

from __future__ import annotations

import sys
from pathlib import Path

from lab.collect.bundle import read_bundle
from lab.evidence.bundle import parse
from lab.verdict.decide import judge
from lab.verdict.model import Verdict, Word
from tests.speed.thinned import Host, thinned

SPEEDS = (0.25, 1, 2, 4, 8, 16, 32, 256)
PHASES = (0.0, 0.6)


def main() -> None:
    verbose, free = "-v" in sys.argv, "--free" in sys.argv
    for folder in [a for a in sys.argv[1:] if not a.startswith("-")]:
        files = dict(read_bundle(Path(folder)).items())
        manifest = parse(files).manifest
        row = []
        for times in SPEEDS:
            words: dict[str, Verdict] = {}
            for phase in PHASES if times > 1 else (0.0,):
                verdict = judge(
                    parse(thinned(files, Host(times, phase, held_to_rate=not free, by_bytes="--clock" not in sys.argv)))
                )
                words.setdefault(verdict.word.value, verdict)
            row.append("/".join(sorted(words)))
            if verbose and "ERROR" in words:
                for f in words["ERROR"].findings:
                    if f.word in (Word.ERROR, Word.MISS):
                        print("    ", times, f.rule, f.message[:200])
        print("|", manifest.kernel.design, manifest.nic, manifest.case, "|", " | ".join(row), "|", flush=True)


main()
