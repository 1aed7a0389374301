"""manifest.json of a bundle: what ran on what. Refuses what it does not understand."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

FORMAT, FORMATS = 2, (1, 2)
"""What is written, and what can be read. Bundles of format 1 tell of no canary, taint or parent's charge."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KernelRecord(_Record):
    """The kernel under test; both guests boot it. The last three are told of kernels that the lab built."""

    name: str
    release: str
    design: str
    sha256: str
    config_sha256: str
    base: str = ""
    series: str = ""
    fragments: tuple[str, ...] = ()


class HostRecord(_Record):
    """What the guests ran on."""

    qemu: str
    libvirt: str
    accelerator: Literal["kvm", "tcg"]
    connection: str
    machine: str
    image_sha256: str


class ClientRecord(_Record):
    """A client as it was started. limit in bytes (None: none), argv as typed in the guest.

    lowered is what its limit was set to while it ran (None: it was not changed).

    status is its exit status; None when nobody saw it end; 128 + N when it was killed by signal N.
    """

    name: str
    behaviour: str
    limit: int | None
    deliver: int
    argv: tuple[str, ...]
    sender_argv: tuple[str, ...]
    seed: int
    status: int | None = None
    sender_status: int | None = None
    lowered: int | None = None


class Incident(_Record):
    """Trouble of the lab during the run; any makes the run a MISS unless a kernel died.

    kind   boot | lost | deadline | qemu-exit | interrupted | host | hang | frozen | flood
           (`hang`: QEMU was alive, and neither SSH nor telemetry of a guest that had been ready answered;
           `frozen`: the host kept QEMU from running; `flood`: a guest said more than a channel may carry)
    guest  receiver | sender | "" ; t is host time of day, ISO 8601
    """

    kind: Literal["boot", "lost", "deadline", "qemu-exit", "interrupted", "host", "hang", "frozen", "flood"]
    guest: str
    detail: str
    t: str


class FileRecord(_Record):
    """Size in bytes and sha256 of one file of the bundle."""

    size: int
    sha256: str


class Seconds(_Record):
    """Wall seconds of the run's stages. `provision` is shared by the runs of a pair and told by the first."""

    provision: float
    drive: float
    collect: float


class PairRecord(_Record):
    """The pair the run used: its id and shape, and how many runs it had served before.

    vcpus is that of the receiver: memcg counters are batched per CPU, so tolerances scale with it.
    warm is the key of the saved state the pair was restored from, "" when it was booted; note says why it was booted
    although it could have been restored.
    """

    id: str
    shape: str
    receiver_mib: int
    sender_mib: int
    runs_before: int
    cmdline: str
    vcpus: int = 1
    warm: str = ""
    note: str = ""


class Manifest(_Record):
    """Everything a reader needs to repeat the run. `skip` is the reason why it does not apply here, "" when it does.

    reference names the kernel this run is compared with, whose own bundle lies in `reference/`; "" where there is none.
    """

    format: int = FORMAT
    run: str
    case: str
    nic: str
    repeat: int
    predicted: str
    kernel: KernelRecord
    host: HostRecord
    pair: PairRecord
    mtu: int
    floor: float
    clients: tuple[ClientRecord, ...]
    incidents: tuple[Incident, ...]
    seconds: Seconds
    started: str
    lab_version: str
    reproduce: str
    skip: str = ""
    reference: str = ""
    files: dict[str, FileRecord]
