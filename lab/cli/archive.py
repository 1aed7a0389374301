# SPDX-License-Identifier: GPL-2.0-only
"""`lab archive`: what the lab remembers of all that it ran."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from lab.cli import complete
from lab.cli.listing import print_entries, print_json_lines
from lab.cli.options import MOST, ResultsFolder, finite
from lab.errors import BadInput, HostTrouble
from lab.text.terminal import say
from lab.units import mib

if TYPE_CHECKING:
    from lab.archive.fill import Filled
    from lab.archive.index import Index
    from lab.archive.query import Facts, StoredRun, StoredSession

T = TypeVar("T")
GIB = 1024**3

archive = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="What the lab remembers of all that it ran (docs/archive.md)."
)

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object per line on standard output.")]
Place = Annotated[Path, typer.Argument(metavar="DIR", help="A results folder, a session or a bundle.")]


@archive.command("list")
def list_sessions(
    results: ResultsFolder = None,
    last: Annotated[int, typer.Option("--last", min=0, help="So many sessions, the newest; 0 for all.")] = 20,
    everything: Annotated[bool, typer.Option("--all", help="Those in which nothing was run as well.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the sessions, the newest first, with what came of them."""
    from lab.archive.query import kernels_of, sessions

    def ask(index: Index) -> list[tuple[StoredSession, tuple[str, ...]]]:
        found = sessions(index, most=last or None, empty=everything)
        return [(each, kernels_of(index, (stored.run for stored in each.runs))) for each in found]

    found = asked(results, ask)
    if as_json:
        print_json_lines(_session_record(each, kernels) for each, kernels in found)
        return
    print_entries((each.row.name, _session_lines(each, kernels)) for each, kernels in found)
    if not found:
        say("nothing was run yet; try: lab run fast")


@archive.command()
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="RUN|SESSION", help="Its name, or the beginning.", autocompletion=complete.runs_and_sessions
        ),
    ],
    results: ResultsFolder = None,
    as_json: AsJson = False,
) -> None:
    """Show what is remembered of a session or a run, be its bundle pruned or not."""
    from lab.archive.query import facts, runs_named, sessions_named

    def ask(index: Index) -> StoredSession | tuple[Facts, list[Any], int]:
        if found := sessions_named(index, name):
            return found[0]
        runs = runs_named(index, name)
        if not runs:
            raise BadInput([f"no run or session {name!r} in the archive"], hint="lab archive list")
        return facts(index, runs[0]), list(index.findings(runs[0].key)), len(runs) - 1

    found = asked(results, ask)
    if not isinstance(found, tuple):
        _show_session(found, as_json=as_json)
        return
    known, findings, others = found
    if as_json:
        print_json_lines([_facts_record(known, findings)])
        return
    print_entries(_facts_entries(known, findings))
    if others:
        say(f"the newest of {others + 1} that begin so")


@archive.command()
def rebuild(results: ResultsFolder = None) -> None:
    """Make the index anew from the bundles. What it then says otherwise is told."""
    from lab.archive.fill import rebuild as made_anew
    from lab.cli.progress import shown
    from lab.host.paths import results_folder

    root = _existing(results_folder(results))
    before = _words_before(root)
    with shown() as progress:
        filled = made_anew(root, progress)
    _tell_filled(filled)
    for run, was, now in _changed(root, before):
        say(f"{run}: {now}, was {was}")
    say(f"{filled.added} bundles were read")


@archive.command()
def prune(
    results: ResultsFolder = None,
    keep_days: Annotated[
        float, typer.Option("--keep-days", min=0, max=36500, callback=finite, help="Remove what is older.")
    ] = 90,
    most: Annotated[float | None, MOST] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
) -> None:
    """Remove old bundles. What is remembered of them stays, and says so.

    The last bundle of each cell stays, and so do those on both sides of a change.
    Places that were added are left alone.
    """
    from lab.archive.prune import prune as pruned

    limit = None if most is None else int(most * GIB)
    done = asked(
        results,
        lambda index, root: pruned(index, root, keep_days=keep_days, most=limit, dry_run=dry_run),
    )
    for each in done.gone:
        say(f"{'would remove' if dry_run else 'removed'}: {each.bundle.folder}/{each.bundle.name}, {mib(each.on_disk)}")
    freed = sum(each.on_disk for each in done.gone)
    say(f"{len(done.gone)} bundles, {mib(freed)} of {mib(done.total)}; {done.stay} stay for what they show")
    if limit is not None and done.total - freed > limit:
        say(f"more than {most:g} GiB are left: what stays takes {mib(done.total - freed)}", err=True)


@archive.command()
def add(folder: Place, results: ResultsFolder = None) -> None:
    """Have the archive know bundles that lie elsewhere. They stay there, and are judged here."""
    from lab.archive.places import add_place
    from lab.host.paths import results_folder

    root = results_folder(results)
    root.mkdir(parents=True, exist_ok=True)
    _noted(lambda: add_place(root, folder))
    say(f"{asked(results, lambda index: _count(index, folder))} runs in {folder}")


@archive.command()
def forget(folder: Place, results: ResultsFolder = None) -> None:
    """Have the archive no longer know a place that was added."""
    from lab.archive.places import forget_place
    from lab.host.paths import results_folder

    root = results_folder(results)
    _noted(lambda: forget_place(root, folder))


def _noted(note: Callable[[], None]) -> None:
    try:
        note()
    except OSError as exc:
        raise HostTrouble(f"the places of the archive cannot be noted: {exc.strerror}: {exc.filename}") from exc


def _count(index: Index, folder: Path) -> int:
    place = str(folder.expanduser().resolve())
    ((number,),) = index.execute("SELECT count(*) FROM bundles WHERE place = ? AND key != ''", place)
    return int(number)


def _existing(root: Path) -> Path:
    if not root.is_dir():
        raise BadInput([f"{root}: there is no such folder"], hint="lab run fast, or --results FOLDER")
    return root


def asked(results: Path | None, ask: Callable[..., T]) -> T:
    """What an index that is up to date answers, and on standard error what kept it from knowing more."""
    import inspect

    from lab.archive.fill import Filled, catch_up
    from lab.archive.index import use_index
    from lab.cli.progress import shown
    from lab.host.paths import results_folder

    root = _existing(results_folder(results))
    filled = Filled()

    def answered(index: Index) -> T:
        nonlocal filled
        with shown() as progress:
            filled = catch_up(index, root, progress)
        return ask(index, root) if len(inspect.signature(ask).parameters) > 1 else ask(index)

    answer = use_index(root, answered)
    _tell_filled(filled)
    return answer


def _tell_filled(filled: Filled) -> None:
    for place in filled.away:
        say(f"{place} cannot be reached: what is known of it may be old", err=True)
    told = (*filled.problems, *filled.unread)
    for line in told[:10]:
        say(f"not in the archive: {line}", err=True)
    if len(told) > 10:
        say(f"and {len(told) - 10} more", err=True)


def _words_before(root: Path) -> dict[str, tuple[str, str]]:
    """By the key of each run, its name and word in an index that may be damaged."""
    from lab.archive.index import opened
    from lab.errors import LabError

    try:
        with opened(root) as index:
            return {key: (run, word) for key, run, word in index.execute("SELECT key, run, word FROM runs")}
    except LabError:
        return {}


def _changed(root: Path, before: dict[str, tuple[str, str]]) -> list[tuple[str, str, str]]:
    after = _words_before(root)
    return [(after[k][0], was, after[k][1]) for k, (_, was) in before.items() if k in after and after[k][1] != was]


# -- how it is told --------------------------------------------------------------------------------------------------


def _session_lines(each: StoredSession, kernels: tuple[str, ...]) -> list[str]:
    from lab.archive.query import words
    from lab.report.wording import count

    runs = [stored.run for stored in each.runs]
    planned = f"{len(runs)} of {count(each.row.planned, 'run')}" if each.row.planned else count(len(runs), "run")
    surprises = f"; {each.surprises} not as predicted" if each.surprises else "; as predicted" if runs else ""
    pruned = sum(stored.pruned for stored in each.runs)
    return [
        f"{each.started[:16].replace('T', ' ')}  {planned}: {words(runs) or 'nothing was run'}{surprises}",
        ", ".join(kernels),
        each.row.command,
        f"{count(pruned, 'bundle')} of these pruned" if pruned else "",
        f"in {each.row.place}" if each.row.place else "",
        f"the same in {', '.join(place or 'the results folder' for place in each.also)}" if each.also else "",
        each.row.problem,
    ]


def _session_record(each: StoredSession, kernels: tuple[str, ...]) -> dict[str, Any]:
    from collections import Counter

    return {
        "session": each.row.name,
        "started": each.started,
        "command": each.row.command,
        "planned": each.row.planned,
        "runs": len(each.runs),
        "words": dict(Counter(stored.run.word for stored in each.runs)),
        "surprises": each.surprises,
        "kernels": kernels,
        "pruned": sum(stored.pruned for stored in each.runs),
        "bytes": sum(stored.bundle.size for stored in each.runs if not stored.pruned),
        "place": each.row.place,
        "folder": each.row.folder,
    }


def _show_session(found: StoredSession, *, as_json: bool) -> None:
    from lab.archive.rows import as_values

    if as_json:
        print_json_lines({**as_values(s.run), "pruned": s.pruned} for s in found.runs)
        return
    print_entries([(found.row.name, _session_lines(found, ()))])
    print_entries((stored.run.run, [_run_line(stored), stored.run.why]) for stored in found.runs)


def _run_line(stored: StoredRun) -> str:
    run = stored.run
    predicted = f", {run.predicted} was predicted" if run.surprise and run.predicted else ""
    gone = f"  pruned {stored.bundle.why[:10]}" if stored.pruned else ""
    return f"{run.word}{predicted}  {run.seconds:.0f} s{gone}"


def _facts_record(known: Facts, findings: list[Any]) -> dict[str, Any]:
    from lab.archive.rows import as_values

    stored = known.stored
    return {
        **as_values(stored.run),
        "kernel": as_values(known.kernel),
        "host": as_values(known.host),
        "findings": [as_values(finding) for finding in findings],
        "bundle": as_values(stored.bundle),
    }


def _facts_entries(known: Facts, findings: list[Any]) -> list[tuple[str, list[str]]]:
    from lab.report.wording import size

    run, bundle, kernel, host = known.stored.run, known.stored.bundle, known.kernel, known.host
    sizes = {"held": run.held, "charged": run.charged, "escape": run.escaped, "limit": run.limited}
    ledger = ", ".join(f"{name} {size(value)}" for name, value in sizes.items() if value is not None)
    where = "/".join(part for part in (bundle.place, bundle.folder, bundle.name) if part)
    gone = f"pruned on {bundle.why[:10]}: its bytes are gone" if known.stored.pruned else mib(bundle.size)
    cpus = f"{host.cpus} x {host.cpu}, {host.memory_mib} MiB, Linux {host.system}" if host.cpus else ""
    return [
        (run.run, [_run_line(known.stored), f"session {run.session}, {run.started}"]),
        ("cell", [run.cell]),
        ("why", [f"{f.word} {f.rule}: {f.message} [{f.pointer}]" for f in findings]),
        ("ledger", [ledger]),
        ("kernel", [f"{kernel.name} ({kernel.release}), {kernel.design}", kernel.described, f"sha256 {kernel.sha256}"]),
        ("host", [f"{host.node} {host.accelerator}, QEMU {host.qemu}, libvirt {host.libvirt}".strip(), cpus]),
        ("lab", [f"{run.lab_version}, judged by {run.judged_by}"]),
        ("bundle", [where, gone]),
        ("again", [run.reproduce]),
    ]
