# SPDX-License-Identifier: GPL-2.0-only
"""From what the user wrote to a plan on disk: names resolved, things made, accelerator proved, pairs admitted."""

from __future__ import annotations

import contextlib
import datetime
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from types import MappingProxyType
from typing import Literal

from lab.contracts import EMBEDDED, BootableKernel, GuestImage, Progress
from lab.drive.role import ensure_settings
from lab.errors import BadInput
from lab.experiments.contract import Asked
from lab.experiments.found import all_cases, all_experiments, case_named, experiment_of, find_case
from lab.guestimage.build import ensure_image, ensure_init
from lab.guestimage.layer import ensure_layer
from lab.host.paths import cache_root
from lab.host.records import write_whole
from lab.host.size import host_size, memory_mib
from lab.kernels.bootable import make_bootable
from lab.kernels.catalogue import Kernel, resolve, united
from lab.kernels.reference import references
from lab.pair.blame import check_disk
from lab.plan.capacity import admit, pairs_that_fit
from lab.plan.case import STANDARD, Shape
from lab.plan.learnt import Learnt, host_key, kernel_kind, way_of, way_on
from lab.plan.matrix import Run, expand
from lab.plan.names import FAMILIES
from lab.plan.nics import NICS
from lab.plan.order import PAIR_SECONDS, running_order
from lab.plan.pairs import Choice, choose
from lab.plan.session import PLAN_FILE, SessionPlan, dump
from lab.provision.accel import Proof, prove, remembered
from lab.provision.hypervisor import connect
from lab.provision.pair import PairRequest
from lab.provision.plugin import cannot_count, ensure_plugin
from lab.provision.qemu import installed_qemu
from lab.provision.states import cannot_save
from lab.session.learnt import load_learnt
from lab.session.suites import read_suite, suite_names
from lab.spec.request import MAX_REPEAT, SessionRequest
from lab.spec.suite import SuiteSpec, unknown
from lab.verdict.case import Case

DEFAULT_SUITE = "default"
EXPECTED: tuple[Literal["PASS", "FAIL", "ERROR", "DONE"], ...] = ("PASS", "FAIL", "ERROR", "DONE")
"""What `--expect` takes: a MISS says nothing of a kernel, and what does not apply is a SKIP anyway."""


def combine(request: SessionRequest) -> SuiteSpec:
    """One spec from suite files and options. Raises BadInput listing every unknown name."""
    known = (*suite_names(), *all_cases())
    problems = unknown("suite or case", [name for name in request.names if find_case(name) is None], known)
    problems += unknown("suite", request.suites, suite_names())
    problems += unknown("NIC profile", request.nics, tuple(NICS))
    if request.pairs < 0:
        problems.append("-n takes `auto` or a positive number")
    if not 0 <= request.repeat <= MAX_REPEAT:
        problems.append(f"--repeat takes a number up to {MAX_REPEAT}")
    if request.family and request.family not in FAMILIES:
        problems.append(f"--family {request.family!r} is none of {', '.join(FAMILIES)}")
    if request.accelerator not in ("auto", "kvm", "tcg"):
        problems.append(f"--accel {request.accelerator!r} is none of auto, kvm, tcg")
    if request.expect not in ("", *EXPECTED):
        problems.append(f"--expect {request.expect!r} is none of {', '.join(EXPECTED)}")
    if problems:
        raise BadInput(
            problems, hint="lab cases, lab nics, lab kernels list what there is; lab run --help says what options take"
        )
    named = (*request.suites, *(name for name in request.names if find_case(name) is None))
    suites = [read_suite(name) for name in dict.fromkeys(named)]
    base = suites[0] if suites else read_suite(DEFAULT_SUITE)
    cases = _cases(request.names, suites, base)
    return SuiteSpec(
        description=base.description,
        kernels=request.kernels or base.kernels,
        nics=request.nics or base.nics,
        cases=cases,
        repeat=request.repeat or base.repeat,
    )


@dataclass(frozen=True)
class Checked:
    """What the user asked for, looked up.

    kernels     all that must be made;  tested  those of them that get runs
    references  by the name of a tested one, the name of the one it is compared with, where a case compares
    """

    spec: SuiteSpec
    kernels: tuple[Kernel, ...]
    tested: tuple[Kernel, ...]
    references: dict[str, str]


def _chosen(request: SessionRequest, progress: Progress) -> SessionRequest:
    """The same with names of cases for what they are called by the experiment's own command. Raises BadInput."""
    if not request.experiment:
        return request
    experiment = all_experiments().get(request.experiment)
    more = experiment.more if experiment else None
    if more is None:
        raise BadInput([f"this lab has no experiment {request.experiment!r} that finds cases"], hint="lab cases")
    asked = Asked(request.names, request.kernels, request.nics, request.options)
    return replace(request, names=tuple(more.chosen(asked, progress)))


def check(request: SessionRequest, progress: Progress = lambda _: None) -> Checked:
    """Everything the user named, looked up. Raises BadInput with the problems of all of it."""
    problems: list[BadInput] = []
    spec, resolved = None, None
    try:
        request = _chosen(request, progress)
    except BadInput as exc:
        problems.append(exc)
        request = replace(request, names=())
    more = (request.reference,) if request.reference else ()
    named: tuple[Kernel, ...] = ()
    try:
        spec = combine(request)
    except BadInput as exc:
        problems.append(exc)
    try:
        if not (problems and request.experiment):  # whose names were looked up in the source of the kernel
            resolved = resolve(spec.kernels if spec else request.kernels)
            named = resolve(more) if more else ()
    except BadInput as exc:
        problems.append(exc)
    if problems or spec is None or resolved is None:
        hints = [exc.hint for exc in problems if exc.hint]
        raise BadInput([line for exc in problems for line in exc.problems], hint="; ".join(hints))
    comparing = any(case_named(name).compares for name in spec.cases)
    chosen = references(resolved, *named) if comparing else {}
    kernels = united((*resolved, *chosen.values()))
    return Checked(spec, kernels, resolved, {name: reference.name for name, reference in chosen.items()})


def _cases(names: Sequence[str], suites: Sequence[SuiteSpec], base: SuiteSpec) -> tuple[str, ...]:
    wanted = [case for suite in suites for case in suite.cases] + [name for name in names if find_case(name)]
    return tuple(dict.fromkeys(wanted)) or base.cases


def host_shape(way: str) -> str:
    """By what this host is remembered. Raises CommandFailed when QEMU does not run."""
    return host_key(host_size().cpus, memory_mib("MemTotal"), way, str(installed_qemu()))


def probe_request(kernel: BootableKernel, image: GuestImage, folder: Path, sockets: Path) -> PairRequest:
    """A guest to try an accelerator with."""
    return PairRequest("probe000", NICS["loopback"], STANDARD, kernel, image, "tcg", folder / "probe", sockets / "s")


def choose_accelerator(
    request: SessionRequest, kernels: Sequence[BootableKernel], image: GuestImage, folder: Path, sockets: Path
) -> tuple[str, str]:
    """What the user said, else KVM where every kernel of the session that boots was proved to boot under it.

    With that, what is worth telling: why it is not KVM, or what a kernel complained of, or that it boots nowhere.
    The first that boots under TCG only decides: a probe that fails takes up to 20 s, and a session may have dozens.
    """
    if request.accelerator != "auto":
        return request.accelerator, ""
    proofs = {kernel: remembered(kernel, request.connect) for kernel in kernels}
    known = [proof for proof in proofs.values() if proof]
    unproved = [kernel for kernel, proof in proofs.items() if proof is None]
    if unproved and not any(proof.accelerator == "tcg" for proof in known):
        with connect(request.connect, sockets / "probe") as hypervisor:
            for kernel in unproved:
                known.append(prove(hypervisor, probe_request(kernel, image, folder, sockets)))
                if known[-1].accelerator == "tcg":
                    break
    return decided(known)


def decided(proofs: Sequence[Proof]) -> tuple[str, str]:
    """The accelerator that follows from what was proved of a session's kernels, and what is worth telling. Pure."""
    tcg = next((proof for proof in proofs if proof.accelerator == "tcg"), None)
    if tcg is not None:
        return "tcg", _told(tcg)
    chosen = "kvm" if any(proof.accelerator == "kvm" for proof in proofs) else "tcg"
    return chosen, "; ".join(_told(proof) for proof in proofs if proof.splat or not proof.accelerator)


def _told(proof: Proof) -> str:
    return f"{proof.reason}; while it booted it said: {proof.splat}" if proof.splat else proof.reason


def most_pairs(request: SessionRequest, runs: Sequence[Run]) -> int:
    """Pairs that may run at once: as asked, else what fits, but no more than there are runs.

    Raises BadInput with the arithmetic.
    """
    shapes: list[Shape] = [run.shape for run in runs]
    fit = admit(host_size(), shapes, request.pairs) if request.pairs else pairs_that_fit(host_size(), shapes)
    return min(fit, len(runs))


def _ordered(
    runs: Sequence[Run], kernels: Sequence[BootableKernel], pairs: int, known: Learnt, ways: Sequence[str]
) -> tuple[Run, ...]:
    """The running order by what is known of this host, or of those that do the runs: the mean of them."""
    kinds = {kernel.name: kernel_kind(kernel.base, kernel.fragments) for kernel in kernels}

    return running_order(
        runs,
        pairs,
        lambda run: fmean(known.seconds(run, kinds[run.kernel], way) for way in ways),
        lambda run: fmean(known.pair_seconds(run, kinds[run.kernel], way, PAIR_SECONDS) for way in ways),
    )


def ensure_plugin_for(runs: Sequence[Run], accelerator: str, progress: Progress) -> Path | None:
    """What counts instructions, where a run wants that and it can be done; elsewhere the run says why it is skipped."""
    qemu = installed_qemu()
    if qemu is None or cannot_count(str(qemu), accelerator) or not any(run.shape.counted for run in runs):
        return None
    return ensure_plugin(progress)


def prepare(
    request: SessionRequest,
    folder: Path,
    sockets: Path,
    progress: Progress,
    *,
    only: Callable[[Run], bool] | None = None,
    elsewhere: Mapping[str, int] = MappingProxyType({}),
) -> SessionPlan:
    """Make all that the session needs and write its plan into `folder`: the cells that `only` wants, if given.

    elsewhere: by their names, pairs that other hosts have room for, where they do the runs. Each then proves its own
    accelerator.
    Raises BadInput, LabTrouble.
    """
    asked = check(request, progress)
    spec = asked.spec
    check_disk(folder)
    if request.connect != EMBEDDED and not elsewhere:  # before anything is made: with --accel nobody else would ask
        with connect(request.connect, sockets / "probe"):
            pass
    cases = [case_named(case) for case in spec.cases]
    layers = _layers(cases, progress)  # what does not build is told before anything is fetched
    image = ensure_image(progress)
    ensure_settings(NICS[spec.nics[0]], progress)  # of all profiles: no pair waits for Ansible
    kernels = tuple(make_bootable(k, init=ensure_init(progress), progress=progress) for k in asked.kernels)
    started = datetime.datetime.now(datetime.UTC)
    name = f"{started:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"  # two may start in one second
    tested = [(k.name, k.design) for k in asked.tested]
    family = next((family for family in FAMILIES if family == request.family), None)
    keys = {case: layer.key for case, layer in layers.items()}
    runs = expand(name, tested, spec.nics, cases, spec.repeat, asked.references, family, keys)
    runs = tuple(run for run in runs if only is None or only(run))
    most = min(sum(elsewhere.values()), len(runs)) if elsewhere else most_pairs(request, runs)
    with _folder_of(folder / name) as session:
        accelerator, why = request.accelerator, ""
        if not elsewhere:
            progress("proving the accelerator")
            accelerator, why = choose_accelerator(request, kernels, image, session, sockets)
        cold = request.cold or bool(cannot_save(request.connect))
        way = way_of(accelerator, cold=cold)
        host, known = host_shape(way), load_learnt()
        fixed = "as asked" if request.pairs else "what the hosts have room for" if elsewhere else ""
        at_once = Choice(most, fixed) if fixed else choose(known.rates.get(host, {}), most, host_size().cpus)
        ordered = _ordered(runs, kernels, at_once.pairs, known, [way_on(way, name) for name in elsewhere] or [way])
        plan = SessionPlan(
            name=name,
            started=started.isoformat(timespec="milliseconds"),
            command=request.command,
            folder=session,
            sockets=sockets,
            connect=request.connect,
            accelerator=accelerator,
            accelerator_why=why,
            pairs=min(at_once.pairs, len({run.batch for run in ordered})),
            pairs_why=at_once.why,
            host=host,
            image=image,
            kernels=kernels,
            runs=ordered,
            cold=cold,
            expect=next((word for word in EXPECTED if word == request.expect), ""),
            plugin=None if elsewhere else ensure_plugin_for(runs, accelerator, progress),
            layers=tuple(dict.fromkeys(layers[run.case] for run in ordered if run.layer)),
        )
        plan = replace(plan, notes=_bring(plan, request, progress))
        write_whole(session / PLAN_FILE, dump(plan, cache_root()))
    return plan


@contextlib.contextmanager
def _folder_of(session: Path) -> Iterator[Path]:
    """The folder of a session, which goes again where there is no plan of it in the end."""
    session.mkdir(parents=True)
    try:
        yield session
    except BaseException:
        shutil.rmtree(session, ignore_errors=True)
        raise


def _layers(cases: Sequence[Case], progress: Progress) -> dict[str, GuestImage]:
    """The layer of each case that needs one, by its name. Raises BadInput with all that do not build, HostTrouble."""
    folders = {case.name: case.traffic.programs for case in cases if case.traffic and case.traffic.programs}
    made, problems = {}, []
    for folder in dict.fromkeys(folders.values()):
        try:
            made[folder] = ensure_layer(folder, progress)
        except BadInput as exc:
            problems.append(exc)
    if problems:
        raise BadInput([line for exc in problems for line in exc.problems], hint=problems[0].hint)
    return {name: made[folder] for name, folder in folders.items()}


def _bring(plan: SessionPlan, request: SessionRequest, progress: Progress) -> tuple[str, ...]:
    """What cases need in guests, made by their experiments; what is worth telling. Raises BadInput, LabTrouble."""
    notes: list[str] = []
    for name, kernel in dict.fromkeys((run.case, run.kernel) for run in plan.runs):
        more = experiment_of(name).more
        if more is not None:
            folder = plan.brought(kernel, name)
            folder.mkdir(parents=True)
            notes.append(more.bring(case_named(name), plan.kernel(kernel), request.options, folder, progress))
    return tuple(filter(None, dict.fromkeys(notes)))
