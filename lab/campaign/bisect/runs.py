# SPDX-License-Identifier: GPL-2.0-only
"""What a search keeps of runs: of its own sessions, and of those that the archive remembers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lab.campaign.bisect.model import Search, Seen, Told
from lab.campaign.bisect.sought import SPLAT, frames_of
from lab.collect.stored import read_file
from lab.errors import LabError
from lab.evidence.bounds import OTHER
from lab.text.words import one_line
from lab.verdict.model import Word

if TYPE_CHECKING:
    from lab.archive.index import Index
    from lab.archive.rows import RunRow
    from lab.contracts import BootableKernel
    from lab.report.model import RunResult

MOST_REMEMBERED = 20
NOT_PROOF = frozenset({Word.PASS, Word.SKIP, Word.DONE})
"""Words of findings that speak against no run."""


def seen_of(result: RunResult, folder: Path, session: str) -> Seen:
    """What the search keeps of a run."""
    from lab.report.wording import sentence

    manifest, verdict = result.manifest, result.verdict
    against = [f for f in verdict.findings if f.word not in NOT_PROOF]
    told = tuple(
        Told(f.rule, f.word.value, one_line(f.message, 300), _frames(folder / manifest.run, f.rule, f.pointer))
        for f in against[:20]
    )
    return Seen(
        manifest.run,
        session,
        verdict.word.value,
        told,
        verdict.kernel_fault,
        tuple(dict.fromkeys(incident.kind for incident in manifest.incidents)),
        one_line(sentence(result), 300) if verdict.word not in (Word.PASS, Word.DONE) else "",
        round(manifest.seconds.provision + manifest.seconds.drive + manifest.seconds.collect, 1),
        manifest.reproduce,
    )


def environment_of(result: RunResult) -> tuple[str, ...]:
    """What a reader needs to know of where it ran."""
    manifest = result.manifest
    host, pair = manifest.host, manifest.pair
    return (
        f"host {host.cpu or 'of unknown CPU'}, {host.cpus} CPUs, {host.memory_mib} MiB, {host.system}",
        f"QEMU {host.qemu}, libvirt {host.libvirt}, {host.accelerator}",
        f"guest under test {pair.receiver_mib if manifest.tested == 'receiver' else pair.sender_mib} MiB, "
        f"{pair.vcpus} CPU, NIC profile {manifest.nic}, MTU {manifest.mtu}",
        f"lab {manifest.lab_version}",
    )


def remembered(search: Search, kernel: BootableKernel) -> Sequence[Seen]:
    """Runs of other sessions; none where one of them showed a splat whose console is gone."""
    from lab.archive.fill import catch_up
    from lab.archive.index import use_index

    results = Path(search.asked.results)

    def ask(index: Index) -> Sequence[Seen]:
        catch_up(index, results)
        return tuple(_known(index, search, kernel, results))

    try:
        found = use_index(results, ask) if results.is_dir() else ()
    except (LabError, OSError):
        return ()  # what is not remembered is run
    blind = any(t.rule == SPLAT and t.word == Word.FAIL and not t.frames for seen in found for t in seen.told)
    return () if blind else found


def _known(index: Index, search: Search, kernel: BootableKernel, results: Path) -> Iterator[Seen]:
    """The newest runs of this very kernel, case and profile by this very lab. Of a lab that was changed, none."""
    from lab.archive.rows import HostRow, KernelRow, RunRow
    from lab.host.version import lab_version

    version, asked = lab_version(), search.asked
    ours = {entry.seen.session for entry in search.entries}
    if version.endswith(".dirty"):
        return
    where = "WHERE kernel = ? AND case_name = ? AND nic = ? AND lab_version = ? ORDER BY started DESC, key LIMIT 200"
    left = MOST_REMEMBERED
    for row in index.take(KernelRow, "WHERE sha256 = ? AND initrd_sha256 = ?", kernel.sha256, kernel.initrd_sha256):
        for run in index.take(RunRow, where, row.key, asked.case, asked.nic, version):
            (host,) = index.take(HostRow, "WHERE key = ?", run.host)
            if left and run.session not in ours and host.accelerator == (search.accelerator or host.accelerator):
                left -= 1
                yield _remembered(index, run, results)


def _remembered(index: Index, run: RunRow, results: Path) -> Seen:
    from lab.archive.places import path_of
    from lab.archive.rows import THERE, BundleRow

    found = index.take(BundleRow, "WHERE key = ? AND state = ? ORDER BY place LIMIT 1", run.key, THERE)
    bundle = path_of(results, found[0].place, found[0].folder, found[0].name) if found else results / "nowhere"
    told = tuple(Told(f.rule, f.word, f.message, _frames(bundle, f.rule, f.pointer)) for f in index.findings(run.key))
    incidents = tuple(run.incidents.split())
    return Seen(
        run.run, run.session, run.word, told, bool(run.fault), incidents, run.why or run.skip, 0.0, run.reproduce
    )


def _frames(bundle: Path, rule: str, pointer: str) -> tuple[str, ...]:
    """Of a splat, the top of its call trace: read from the console that the finding points into."""
    path, _, line = pointer.rpartition(":")
    if rule != SPLAT or not path or not line.isdigit() or ".." in Path(path).parts:
        return ()
    console = read_file(bundle / path, OTHER)
    return frames_of(console, int(line)) if console else ()
