# SPDX-License-Identifier: GPL-2.0-only
"""manifest.json of a bundle: what ran on what. Refuses what it does not understand, and what cannot be."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from lab.errors import Kind
from lab.evidence.bounds import DEPTH, FILES, NUMBER, PATH
from lab.plan.names import Family, Role
from lab.text.words import clipped, printable

FORMAT = 2
"""What is written. Since 2 the manifest carries a digest of its own; 1 is still read."""

FORMATS = (1, FORMAT)


def _at_most(most: int) -> AfterValidator:
    def check(value: str) -> str:
        if len(value) > most:
            raise ValueError(f"more than {most} characters")
        return value

    return AfterValidator(check)


Name = Annotated[str, _at_most(512)]
Text = Annotated[str, _at_most(16_384)]
Argv = Annotated[tuple[Text, ...], Field(max_length=256)]
Whole = Annotated[int, Field(ge=0, le=NUMBER)]
Status = Annotated[int, Field(ge=-(2**31), le=2**31)]
Duration = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False)]


def _told(value: object) -> object:
    return clipped(value.encode("utf-8", "replace").decode(), 16_384) if isinstance(value, str) else value


Told = Annotated[Text, BeforeValidator(_told)]
"""What somebody else said, an error message or a guest: as much of it as fits, and nothing that JSON cannot carry."""


def _path(value: str) -> str:
    parts = value.split("/")
    if len(value) > PATH or len(parts) > DEPTH + 1 or printable(value) != value or "\n" in value or "\t" in value:
        raise ValueError(f"no path of a file: at most {PATH} characters and {DEPTH} folders, all of them printable")
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError("no path inside the bundle: relative, and without `.`, `..` or an empty part")
    return value


Inside = Annotated[str, AfterValidator(_path)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True)


CLIENT_NAME = "^[a-z0-9-]+$"
MOST_VCPUS = 8
"""The lab's guests have one; tolerances grow with them, so that too many would excuse anything."""

Mib = Annotated[int, Field(ge=0, le=2**24)]


class KernelRecord(_Record):
    """The kernel under test; both guests boot it. base, series and fragments are told of kernels that the lab built.

    described is what git calls the tree that it was built in, "" for any other and where older.
    sha256 and initrd_sha256 are what the files were found to have before the guests started ("" where older).
    """

    name: Text
    release: Name
    design: Name
    sha256: Name
    config_sha256: Name
    initrd_sha256: Name = ""
    base: Text = ""
    series: Text = ""
    fragments: Annotated[tuple[Name, ...], Field(max_length=256)] = ()
    described: Text = ""


class HostRecord(_Record):
    """What the guests ran on. accelerator_why: why that is not KVM, or what was odd about it ("" where older too).

    node, system, cpu, cpus and memory_mib tell one host from another: its name, its own kernel, its CPU with a key of
    all that a guest sees of it, how many of them there are, and all of its memory ("" and 0 where older).
    """

    qemu: Name
    libvirt: Name
    accelerator: Literal["kvm", "tcg"]
    connection: Name
    machine: Name
    image_sha256: Name
    accelerator_why: Told = ""
    node: Told = ""
    system: Told = ""
    cpu: Told = ""
    cpus: Whole = 0
    memory_mib: Whole = 0


class ClientRecord(_Record):
    """A client as it was started. limit in bytes (None: none), argv as typed in the guest.

    lowered is what its limit was set to while it ran (None: it was not changed).

    status is its exit status; None when nobody saw it end; 128 + N when it was killed by signal N.
    killed tells that the lab sent it SIGKILL.
    The peer is the program in the other guest that it talks to; older bundles call it the sender.
    """

    name: Annotated[str, Field(max_length=64, pattern=CLIENT_NAME)]
    behaviour: Name
    limit: Whole | None
    deliver: Whole
    argv: Argv
    peer_argv: Argv = Field(validation_alias=AliasChoices("peer_argv", "sender_argv"))
    seed: Annotated[int, Field(ge=0, lt=2**64)]
    status: Status | None = None
    peer_status: Status | None = Field(None, validation_alias=AliasChoices("peer_status", "sender_status"))
    lowered: Whole | None = None
    killed: bool = False


class Incident(_Record):
    """Trouble of the lab during the run; any makes the run a MISS unless a kernel died.

    kind   boot | lost | deadline | qemu-exit | interrupted | host | hang | frozen | flood | damaged
           (`hang`: QEMU was alive, and neither SSH nor telemetry of a guest that had been ready answered;
           `frozen`: the host kept QEMU from running; `flood`: a guest said more than a channel may carry;
           `damaged`: a file that guests boot from is not what it is recorded as, so nothing they did counts)
    guest  receiver | sender | "" ; t is host time of day, ISO 8601
    """

    kind: Kind
    guest: Name
    detail: Told
    t: Name


class FileRecord(_Record):
    """Size in bytes and sha256 of one file of the bundle."""

    size: Whole
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Seconds(_Record):
    """Wall seconds of the run's stages. `provision` is shared by the runs of a pair and told by the first."""

    provision: Duration
    drive: Duration
    collect: Duration


class PairRecord(_Record):
    """The pair the run used: its id and shape, and how many runs it had served before.

    vcpus is that of the guest under test: memcg counters are batched per CPU, so tolerances scale with it.
    warm is the key of the saved state the pair was restored from, "" when it was booted; note says why it was booted
    although it could have been restored.
    """

    id: Name
    shape: Name
    receiver_mib: Mib
    sender_mib: Mib
    runs_before: Annotated[int, Field(ge=0, le=1_000_000)]
    cmdline: Text
    vcpus: Annotated[int, Field(ge=1, le=MOST_VCPUS)] = 1
    warm: Name = ""
    note: Told = ""


def _distinct(value: tuple[ClientRecord, ...]) -> tuple[ClientRecord, ...]:
    if len({client.name for client in value}) < len(value):
        raise ValueError("two clients have one name")
    return value


class Manifest(_Record):
    """Everything a reader needs to repeat the run. `skip` is the reason why it does not apply here, "" when it does.

    reference names the kernel this run is compared with, whose own bundle lies in `reference/`; "" where there is none.
    tested is the guest under test: clients and their cgroups are there.
    layer and layer_sha256 are of the programs that its experiment brought: the key of their sources, and the file that
    they became ("" for none, and where older).
    family is what the streams went over; older bundles, which do not say, had IPv4.
    session is that of the run, "" where older: a bundle that is moved still knows it.
    lab_version ends in the commit of a lab that is run from its checkout.
    digest is that of everything else in it; see lab.evidence.seal.
    """

    format: int = 1
    run: Name
    case: Name
    nic: Name
    repeat: Annotated[int, Field(ge=0, le=1_000_000)]
    predicted: Name
    kernel: KernelRecord
    host: HostRecord
    pair: PairRecord
    mtu: Annotated[int, Field(ge=0, le=1_000_000)]
    family: Family = "ipv4"
    floor: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    clients: Annotated[tuple[ClientRecord, ...], Field(max_length=256), AfterValidator(_distinct)]
    incidents: Annotated[tuple[Incident, ...], Field(max_length=1000)]
    seconds: Seconds
    started: Name
    lab_version: Name
    reproduce: Text
    skip: Told = ""
    reference: Text = ""
    tested: Role = "receiver"
    layer: Name = ""
    layer_sha256: Name = ""
    session: Name = ""
    files: Annotated[dict[Inside, FileRecord], Field(max_length=FILES)]
    digest: Name = ""
