"""What was proved of an accelerator, and what a damaged record of it says: nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.contracts import BootableKernel
from lab.host.records import write_record
from lab.provision import accel
from lab.provision.accel import Proof, remembered

KERNEL = BootableKernel("k", Path("/k"), Path("/i"), "6.12", "stock", "0", "")


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the proof is kept; on a host whose /dev/kvm may be tried."""
    monkeypatch.setenv("LAB_CACHE", str(tmp_path))
    (tmp_path / "qemu").touch()
    monkeypatch.setattr(accel, "emulator", lambda: str(tmp_path / "qemu"))
    monkeypatch.setattr(accel, "kvm_device_problem", lambda: "")
    return accel._memory(KERNEL)


@pytest.mark.parametrize(("said", "word"), [("", "kvm"), ("no ready line", "tcg")])
def test_a_proof_is_remembered(memory: Path, said: str, word: str) -> None:
    assert remembered(KERNEL) is None
    write_record(memory, {"said": said})
    proof = remembered(KERNEL)
    assert isinstance(proof, Proof)
    assert (proof.accelerator, said in proof.reason) == (word, True)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"said": 3}', '{"said": "", "digest": "0"}'])
def test_a_damaged_proof_is_none_and_told_once(memory: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    memory.parent.mkdir(parents=True)
    memory.write_text(text)
    assert remembered(KERNEL) is None
    assert str(memory) in capsys.readouterr().err
    assert remembered(KERNEL) is None
    assert capsys.readouterr().err == ""
    write_record(memory, {"said": ""})
    assert json.loads(memory.read_text())["said"] == ""
    assert remembered(KERNEL) == Proof("kvm", "a guest booted under KVM")
