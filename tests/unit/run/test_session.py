# SPDX-License-Identifier: GPL-2.0-only
"""From what the user asked for to one spec; every wrong name at once."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.contracts import BootableKernel, GuestImage
from lab.errors import BadInput, HostTrouble
from lab.kernels.catalogue import LocalKernel
from lab.provision.accel import Proof
from lab.provision.pair import PairRequest
from lab.provision.qemu import Qemu
from lab.session import prepare as session
from lab.session.prepare import check, choose_accelerator, combine, most_pairs
from lab.session.suites import read_suite
from lab.spec.request import SessionRequest
from tests.known import expand


def test_nothing_asked_for_means_the_default_suite() -> None:
    assert combine(SessionRequest()) == read_suite("default")


def test_cases_alone_take_kernels_and_nics_of_the_default() -> None:
    spec, default = combine(SessionRequest(names=("release", "hold"))), read_suite("default")
    assert spec.cases == ("release", "hold")
    assert (spec.nics, spec.kernels) == (default.nics, default.kernels)


def test_a_suite_and_a_case_add_up_once_each() -> None:
    fast = read_suite("fast")
    spec = combine(SessionRequest(names=("fast", "hold", "dead-memcg")))
    assert spec.cases == (*fast.cases, "dead-memcg")
    assert spec.nics == fast.nics


def test_a_suite_may_be_named_as_one() -> None:
    assert combine(SessionRequest(suites=("thread",))) == combine(SessionRequest(names=("thread",)))
    assert combine(SessionRequest(names=("fast",), suites=("fast",))) == read_suite("fast")
    with pytest.raises(BadInput, match="unknown suite 'hold'"):
        combine(SessionRequest(suites=("hold",)))


def test_options_win_over_the_suite() -> None:
    spec = combine(SessionRequest(names=("fast",), kernels=("6.1",), nics=("virtio",), repeat=3))
    assert (spec.kernels, spec.nics, spec.repeat) == (("6.1",), ("virtio",), 3)


def test_every_wrong_word_is_told_at_once() -> None:
    request = SessionRequest(
        names=("holt", "nosuch"), nics=("virtoi", "e1000"), repeat=-1, pairs=-1, accelerator="warp"
    )
    with pytest.raises(BadInput) as caught:
        combine(request)
    text = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 6
    for word in (
        "'holt'; did you mean hold",
        "'nosuch'",
        "'virtoi'; did you mean virtio",
        "-n ",
        "--repeat ",
        "'warp'",
    ):
        assert word in text
    assert "lab nics" in caught.value.hint


def test_a_command_whose_experiment_is_not_there_says_so() -> None:
    for name in ("nosuch", "rx_zerocopy"):
        with pytest.raises(BadInput, match=f"no experiment '{name}' that finds cases"):
            check(SessionRequest(names=("net/x.sh",), experiment=name))


def test_there_are_no_more_workers_than_runs() -> None:
    runs = expand("s", [("k", "stock")], ["virtio"], ["hold"], 1)
    assert most_pairs(SessionRequest(), runs) == 1


def test_too_many_pairs_are_refused_with_the_sum() -> None:
    runs = expand("s", [("k", "stock")], ["virtio"], ["hold"], 1)
    with pytest.raises(BadInput, match=r"100000 pairs do not fit: a standard pair takes .* MiB available"):
        most_pairs(SessionRequest(pairs=100_000), runs)


def own(name: str, design: str) -> LocalKernel:
    return LocalKernel(name, Path(f"/{name}"), None, name, design)


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"plain": own("plain", "stock"), "old": own("old", "stock"), "mine": own("mine", "precharge")}
    monkeypatch.setattr(session, "resolve", lambda names: tuple(dict.fromkeys(there[name] for name in names)))


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    ("asked", "named", "reference", "made"),
    [
        (("mine", "plain", "old"), "", "plain", ["mine", "plain", "old"]),
        (("mine",), "old", "old", ["mine", "old"]),
        (("plain",), "plain", "plain", ["plain"]),
        (("plain", "mine"), "mine", "mine", ["plain", "mine"]),
    ],
)
def test_what_is_compared_with_is_made_but_not_tested(
    asked: tuple[str, ...], named: str, reference: str, made: list[str]
) -> None:
    found = check(SessionRequest(names=("cost",), kernels=asked, reference=named))
    assert found.references == dict.fromkeys(asked, reference)
    assert [k.name for k in found.kernels] == made
    assert tuple(k.name for k in found.tested) == asked


@pytest.mark.usefixtures("kernels")
def test_nothing_to_compare_with_is_refused_where_a_case_compares() -> None:
    with pytest.raises(BadInput, match="kernel mine: nobody knows what it was built from") as caught:
        check(SessionRequest(names=("cost", "hold"), kernels=("mine",)))
    assert "--reference" in caught.value.hint
    assert check(SessionRequest(names=("hold",), kernels=("mine",))).references == {}


def test_a_reference_that_is_not_there_is_refused_whether_a_case_compares_or_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def resolve(names: Sequence[str]) -> tuple[LocalKernel, ...]:
        if "nosuch" in names:
            raise BadInput(["kernel 'nosuch' is not known."])
        return (own("plain", "stock"),)

    monkeypatch.setattr(session, "resolve", resolve)
    for case in ("hold", "cost"):
        with pytest.raises(BadInput, match="'nosuch' is not known"):
            check(SessionRequest(names=(case,), kernels=("plain",), reference="nosuch"))


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("uri", ["bogus", "qemu+unix:///session?socket=/nosuch"])
def test_a_hypervisor_that_cannot_be_reached_is_told_before_anything_is_made(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        pytest.fail("made before anybody asked the hypervisor")

    monkeypatch.setattr(session, "ensure_image", never)
    monkeypatch.setattr(session, "_layers", never)
    request = SessionRequest(names=("hold",), kernels=("plain",), connect=uri, accelerator="tcg")
    with pytest.raises(HostTrouble, match="libvirt cannot open"):
        session.prepare(request, tmp_path, tmp_path, lambda _: None)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("kernels")
def test_a_session_that_comes_to_no_plan_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        assert len(list(tmp_path.iterdir())) == 1
        raise HostTrouble("no accelerator")

    for name in ("ensure_image", "ensure_settings", "ensure_init"):
        monkeypatch.setattr(session, name, lambda *_: IMAGE)
    monkeypatch.setattr(session, "_layers", lambda *_: {})
    monkeypatch.setattr(session, "make_bootable", lambda kernel, **_: bootable(kernel.name))
    monkeypatch.setattr(session, "choose_accelerator", refuses)
    with pytest.raises(HostTrouble, match="no accelerator"):
        session.prepare(SessionRequest(names=("hold",), kernels=("plain",)), tmp_path, tmp_path, lambda _: None)
    assert not list(tmp_path.iterdir())


IMAGE = GuestImage(Path("/image"), "ab" * 32, "key")
KVM, TCG = Proof("kvm", "a guest booted under KVM"), Proof("tcg", "a guest did not boot under KVM: it said nothing")


def bootable(name: str) -> BootableKernel:
    return BootableKernel(name, Path("/boot"), Path("/initrd"), "6.12", "stock", "ab" * 32, "")


@dataclass
class Host:
    """What is remembered of kernels by name, what booting them would show, and which were booted."""

    known: dict[str, Proof]
    would: dict[str, Proof]
    booted: list[str]
    told: str = ""

    def choose(self, *names: str, accelerator: str = "auto") -> str:
        kernels = [bootable(name) for name in names]
        request = SessionRequest(accelerator=accelerator)
        chosen, self.told = choose_accelerator(request, kernels, IMAGE, Path("/f"), Path("/s"))
        return chosen

    def prove(self, _: object, request: PairRequest) -> Proof:
        self.booted.append(request.kernel.name)
        return self.would[request.kernel.name]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host({}, {}, [])
    monkeypatch.setattr(session, "remembered", lambda kernel, _: host.known.get(kernel.name))
    monkeypatch.setattr(session, "connect", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(session, "prove", host.prove)
    return host


def test_one_kernel_that_is_known_not_to_boot_under_kvm_decides_without_booting_any(host: Host) -> None:
    host.known = {"a": KVM, "c": TCG}
    assert (host.choose("a", "b", "c"), host.booted) == ("tcg", [])


def test_only_what_is_not_known_is_booted_and_the_first_that_fails_is_the_last(host: Host) -> None:
    host.known, host.would = {"a": KVM}, {"b": KVM, "c": TCG, "d": KVM}
    assert (host.choose("a", "b", "c", "d"), host.booted) == ("tcg", ["b", "c"])


def test_kvm_is_taken_when_every_kernel_boots_under_it(host: Host) -> None:
    host.known, host.would = {"a": KVM}, {"b": KVM}
    assert (host.choose("a", "b"), host.booted) == ("kvm", ["b"])
    assert (host.choose("a"), host.booted) == ("kvm", ["b"])  # nothing is left to boot


NOWHERE = Proof("", "d boots nowhere", "Kernel panic")


def test_a_kernel_that_boots_nowhere_decides_nothing(host: Host) -> None:
    """It used to send a whole session to TCG."""
    host.known, host.would = {"a": KVM}, {"d": NOWHERE, "b": KVM}
    assert (host.choose("a", "d", "b"), host.booted) == ("kvm", ["d", "b"])
    assert host.told == "d boots nowhere; while it booted it said: Kernel panic"
    assert host.choose("d") == "tcg"


def test_why_it_is_not_kvm_is_told_and_so_is_a_splat(host: Host) -> None:
    host.known = {"a": KVM, "c": TCG, "w": Proof("kvm", "w booted", "WARNING: at mm/x.c:1")}
    assert (host.choose("a", "c"), host.told) == ("tcg", TCG.reason)
    assert (host.choose("a", "w"), host.told) == ("kvm", "w booted; while it booted it said: WARNING: at mm/x.c:1")
    assert (host.choose("a"), host.told) == ("kvm", "")
    assert (host.choose("a", "c", accelerator="tcg"), host.told) == ("tcg", "")


def test_what_the_user_says_is_not_doubted(host: Host) -> None:
    host.known = {"a": TCG}
    assert (host.choose("a", accelerator="kvm"), host.booted) == ("kvm", [])


@pytest.mark.parametrize(
    ("qemu", "accelerator", "case", "builds"),
    [
        ((7, 2, 22), "tcg", "cost", True),
        ((7, 2, 22), "kvm", "cost", False),
        ((11, 0, 0), "tcg", "cost", False),
        ((7, 2, 22), "tcg", "hold", False),
    ],
)
def test_the_plugin_is_built_only_where_something_can_be_counted(
    qemu: tuple[int, int, int],
    accelerator: str,
    case: str,
    *,
    builds: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Elsewhere a host needs no compiler: the run is skipped, with the reason."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))  # no make
    monkeypatch.setattr(session, "installed_qemu", lambda: Qemu(qemu, frozenset()))
    runs = expand("s", [("k", "stock")], ["virtio"], [case], 1, {"k": "k"})
    with pytest.raises(HostTrouble, match="make") if builds else contextlib.nullcontext():
        assert session.ensure_plugin_for(runs, accelerator, lambda _: None) is None
