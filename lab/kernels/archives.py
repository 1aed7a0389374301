# SPDX-License-Identifier: GPL-2.0-only
"""Other suites of the distribution, which this host's own package lists do not know.

Each has an apt of its own in the cache: configuration, lists, no root. It checks signatures as the host's does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lab.errors import BadInput
from lab.host.filecache import key_of
from lab.host.paths import archives_file, cache_root
from lab.host.records import write_whole

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@dataclass(frozen=True)
class Archive:
    """One suite of a mirror, by the name it has in the table.

    uri      "" for the mirror that this host uses, else Debian's own
    suite    "" for the name; one that ends in `/` is a directory with its package list in it
    trusted  take it without a signature;  off  leave it out
    """

    uri: str = ""
    suite: str = ""
    components: tuple[str, ...] = ("main",)
    keyring: str = KEYRING
    trusted: bool = False
    off: bool = False


SHIPPED: Mapping[str, Archive] = {name: Archive() for name in ("trixie", "trixie-backports", "sid")}
"""In the order in which a kernel is looked for."""


def archives() -> Mapping[str, Archive]:
    """The table: what is shipped, and what the user's file adds or replaces. Raises BadInput."""
    path = archives_file()
    own = _parsed(path.read_text(), str(path)) if path.is_file() else {}
    return {name: archive for name, archive in {**SHIPPED, **own}.items() if not archive.off}


def folder_of(name: str) -> Path:
    """Where the apt of an archive lies. Another definition under the same name has another."""
    archive = archives()[name]
    return cache_root() / "apt" / f"{name}-{key_of(repr(archive))[:8]}"


def config_of(name: str) -> Path:
    """The configuration for `apt-get -c`, as `configure` wrote it."""
    return folder_of(name) / "apt.conf"


def configure(name: str, mirror: str) -> Path:
    """Write the apt of an archive, `mirror` for one that names none. Returns its configuration."""
    archive, folder = archives()[name], folder_of(name)
    for directory in ("lists/partial", "cache/archives/partial"):
        (folder / directory).mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    write_whole(folder / "lab.sources", _sources(name, archive, mirror).encode())
    write_whole(config_of(name), _config(folder).encode())
    return config_of(name)


def _sources(name: str, archive: Archive, mirror: str) -> str:
    suite = archive.suite or name
    rows = {
        "Types": "deb",
        "URIs": archive.uri or mirror,
        "Suites": suite,
        "Components": "" if suite.endswith("/") else " ".join(archive.components),
        "Architectures": "amd64",
        "Targets": "Packages",
        "Trusted": "yes" if archive.trusted else "",
        "Signed-By": "" if archive.trusted else archive.keyring,
    }
    return "".join(f"{key}: {value}\n" for key, value in rows.items() if value)


def _config(folder: Path) -> str:
    """Read after the host's own configuration, whose proxies stay in force. Its hooks do not: they change the host.

    A suite that moves has an end to its validity, and a mirror may lag behind it: what that guards against, an old
    kernel, is harmless in a guest. The date of a list is told.
    """
    return f"""#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::State "{folder}";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Cache::archives "{folder}/cache/archives";
Dir::Cache::pkgcache "{folder}/cache/pkgcache.bin";
Dir::Cache::srcpkgcache "";
Dir::Etc::sourcelist "{folder}/lab.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "amd64";
APT::Architectures {{ "amd64"; }};
APT::Sandbox::User "root";
APT::Update::Error-Mode "any";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Acquire::PDiffs "false";
Acquire::GzipIndexes "true";
Acquire::Retries "1";
Acquire::http::Timeout "10";
Acquire::https::Timeout "10";
"""


def _parsed(text: str, path: str) -> dict[str, Archive]:
    """The user's table. Raises BadInput with every problem."""
    import tomllib

    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise BadInput([f"{path}: not TOML: {exc}"]) from exc
    problems = [
        problem
        for name, table in tables.items()
        for problem in (_wrong(name, table) if isinstance(table, dict) else [f"{name}: not a table; write [{name}]."])
    ]
    if problems:
        raise BadInput([f"{path}: {p}" for p in problems], hint=f"the keys are {', '.join(asdict(Archive()))}")
    return {name: replace(Archive(), **_row(table)) for name, table in tables.items()}


def _row(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


def _wrong(name: str, table: Mapping[str, Any]) -> list[str]:
    """What is wrong with one row of the user's table. Its texts become lines of a configuration."""
    found = [] if name.replace("-", "").isalnum() else [f"[{name}]: a name has letters, digits and dashes only."]
    for key, value in table.items():
        wanted = asdict(Archive()).get(key)
        if wanted is None:
            found.append(f"[{name}] {key}: there is no such key.")
        elif isinstance(wanted, bool):
            found += [] if isinstance(value, bool) else [f"[{name}] {key}: true or false."]
        elif isinstance(wanted, str):
            found += [] if _is_word(value) else [f"[{name}] {key}: a text without blanks."]
        elif not (isinstance(value, list) and value and all(map(_is_word, value))):
            found.append(f"[{name}] {key}: a list of texts without blanks.")
    return found


def _is_word(value: object) -> bool:
    return isinstance(value, str) and len(value.split()) == 1 and value.isprintable() and '"' not in value
