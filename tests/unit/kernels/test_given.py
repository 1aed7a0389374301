# SPDX-License-Identifier: GPL-2.0-only
"""What users hand over: configs as they are, names that are taken, threads by their message-id."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.kernels.fragments import Fragment, as_modules, parse
from lab.kernels.given import name_given, read_fragment, series_given
from lab.kernels.naming import means_packaged
from lab.kernels.ranges import fitted, has_proc_sys, version_of
from tests.unit.kernels.trees import CORPUS

CONFIGS = CORPUS / "config"


def options(name: str) -> dict[str, str]:
    return {o.name: o.value for o in parse(read_fragment(CONFIGS / name))}


def test_configs_as_editors_and_kselftest_write_them_are_read() -> None:
    assert options("bom.config") == {"CONFIG_TLS": "y"}
    assert options("tls-m.config") == {"CONFIG_TLS": "y"}
    assert options("crlf.config") == {"CONFIG_TLS": "y", "CONFIG_VETH": "n"}
    assert as_modules(read_fragment(CONFIGS / "tls-m.config")) == 1
    assert as_modules(Fragment("f", "# CONFIG_A=m\nCONFIG_B=y\n")) == 0


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("latin1.config", ["latin1.config:1: it is not UTF-8", "iconv"]),
        ("modules-m.config", ["modules-m.config:1: CONFIG_MODULES=y", "built in"]),
        ("twice.config", ["twice.config:2: CONFIG_TLS=n, but line 1 says y"]),
        ("empty.config", ["empty.config:1: not an option", "empty.config:2"]),
        ("odd.config", ["odd.config:1", "odd.config:3", "odd.config:5", "CONFIG_X=y"]),
    ],
)
def test_a_config_that_cannot_be_meant_is_one_error_with_a_cure(name: str, words: list[str]) -> None:
    with pytest.raises(BadInput) as caught:
        options(name)
    assert [w for w in words if w not in str(caught.value)] == []
    assert caught.value.hint


def test_a_packed_config_and_a_directory_are_told(tmp_path: Path) -> None:
    packed = tmp_path / "x.config.gz"
    packed.write_bytes(gzip.compress(b"CONFIG_TLS=y\n"))
    with pytest.raises(BadInput, match="gunzip"):
        read_fragment(packed)
    with pytest.raises(BadInput, match="directory"):
        read_fragment(tmp_path)


@pytest.mark.parametrize("name", ["6.12", "7.3.4", "newest", "newest-any", "all", "6.1.0-56-amd64", "7.3-rc1"])
def test_no_kernel_takes_a_name_that_means_a_packaged_one(name: str, tmp_path: Path) -> None:
    assert "choose another" in name_given(name, "", "")[1]
    assert "add --name" in name_given("", "", str(tmp_path / f"{name}.mbox.gz"))[1]
    assert "add --name" in name_given("", name, "")[1]


def test_names_that_are_made_of_what_was_given() -> None:
    assert name_given("", "~/linux#v6.12", "") == ("linux", "")
    assert name_given("", "6.12", "/x/my series.patch.xz") == ("my-series", "")
    assert name_given("", "", "20260531010107.1953702-1-a@b.org") == ("20260531010107.1953702-1-a", "")
    assert not any(map(means_packaged, ("6.12-mine", "mine", "put-hook", "all-of-it", "v6.12")))


@pytest.mark.parametrize(
    "text", ["<20260531010107.1953702-1-a@b.org>", "https://lore.kernel.org/netdev/20260531010107.1953702-1-a@b.org/"]
)
def test_a_thread_needs_b4_and_the_error_says_how_to_do_without(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BadInput) as caught:
        series_given(text)
    assert "20260531010107.1953702-1-a@b.org: b4" in caught.value.problems[0]
    assert "t.mbox.gz" in caught.value.hint


def test_an_address_without_a_message_id_and_a_file_that_is_not_there_are_told() -> None:
    with pytest.raises(BadInput, match="no message-id"):
        series_given("https://lore.kernel.org/netdev/")
    with pytest.raises(BadInput, match="no such file"):
        series_given("/nowhere/x.mbox")


def test_what_lies_beside_a_series_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    series_given(str(CORPUS / "stray-patch-in-thread.mbox"))
    assert "left out: " in capsys.readouterr().err


GUEST = {o.name: o for o in parse(Fragment("g", "CONFIG_PREEMPT_NONE=y\nCONFIG_PROC_SYSCTL=y\nCONFIG_NET=y\n"))}


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("6.1.192", {"PREEMPT_NONE", "PROC_SYSCTL", "NET"}),
        ("", {"PREEMPT_NONE", "PROC_SYSCTL", "NET"}),
        ("7.2.13", {"PREEMPT_LAZY", "PROC_SYSCTL", "NET"}),
        ("7.3-rc1", {"PREEMPT_LAZY", "SYSCTL", "NET"}),
        ("10.0", {"PREEMPT_LAZY", "SYSCTL", "NET"}),
    ],
)
def test_options_that_are_gone_give_way_to_what_stands_for_them(version: str, expected: set[str]) -> None:
    assert set(fitted(GUEST, version)) == {f"CONFIG_{name}" for name in expected}
    assert all(o.value == "y" for o in fitted(GUEST, version).values())


def test_a_tree_between_two_releases_is_believed_by_its_kconfig() -> None:
    found = fitted(GUEST, "7.2.0", gone=frozenset({"CONFIG_PROC_SYSCTL"}))
    assert set(found) == {"CONFIG_PREEMPT_LAZY", "CONFIG_SYSCTL", "CONFIG_NET"}
    assert version_of("words") is None


def test_what_was_switched_off_stays_so_and_a_kernel_without_proc_sys_is_known() -> None:
    off = {o.name: o for o in parse(Fragment("g", "# CONFIG_PROC_SYSCTL is not set\n"))}
    assert fitted(off, "7.3.4") == off
    assert has_proc_sys({"CONFIG_PROC_SYSCTL": "y", "CONFIG_PROC_FS": "y"}, is_split=True)
    assert not has_proc_sys({"CONFIG_SYSCTL": "y", "CONFIG_PROC_FS": "y"}, is_split=True)
    assert has_proc_sys({"CONFIG_SYSCTL": "y", "CONFIG_PROC_FS": "y"}, is_split=False)
    assert not has_proc_sys({"CONFIG_PROC_SYSCTL": "y"}, is_split=True)
