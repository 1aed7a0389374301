# SPDX-License-Identifier: GPL-2.0-only
"""The file of a nightly: what is tested, for how long, and who hears of it. docs/nightly.md shows one."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from lab.errors import BadInput
from lab.spec.request import MAX_REPEAT

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")
"""Of a target, and of the file: units of systemd and folders are called so."""
Word = Annotated[str, Field(max_length=4096)]


def _line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("one line of printable text is wanted")
    return text


Line = Annotated[Word, AfterValidator(_line)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Target(_Strict):
    """One thing that is tested every night.

    kernel   a name as `lab run --kernel` takes it: a line of packages (6.12), a design, a path
    repo, branch   instead: what a branch of a git tree holds tonight; its remote is fetched if it has one
    series, base   instead: a series (mbox, patch or folder) on a base
    config   fragments for a kernel that is built, by their paths;  design what it is expected to behave like
    suites, cases, nics   instead of those of the file
    """

    name: Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
    kernel: Line = ""
    repo: Line = ""
    branch: Line = ""
    series: Line = ""
    base: Line = ""
    config: tuple[Line, ...] = ()
    design: Line = ""
    suites: tuple[Line, ...] = ()
    cases: tuple[Line, ...] = ()
    nics: tuple[Line, ...] = ()

    @model_validator(mode="after")
    def _one_kind(self) -> Target:
        kinds = [bool(self.kernel), bool(self.repo or self.branch), bool(self.series)]
        if sum(kinds) != 1:
            raise ValueError("say one of kernel, repo with branch, and series with base")
        if bool(self.repo) != bool(self.branch):
            raise ValueError("repo and branch go together")
        if self.base and not self.series:
            raise ValueError("base is that of a series")
        if self.kernel and (self.config or self.design):
            raise ValueError("config and design are for a kernel that is built; a name says both (NAME@DESIGN)")
        return self


class Mail(_Strict):
    """Who hears of changes. Without `to` nobody is sent anything."""

    to: tuple[Line, ...] = ()
    sender: Line = Field(default="", alias="from")
    reported_by: Line = ""
    smtp: Line = ""


class NightSpec(_Strict):
    """A nightly.

    hours    that it may take, builds and repeats included
    bisect   whether the time that is left goes to the search for what brought a new failure
    results  the folder of sessions, by default that of `lab run`;  known  a file of known issues
    Both are relative to the file.
    """

    target: Annotated[tuple[Target, ...], Field(min_length=1, max_length=100)]
    hours: Annotated[float, Field(gt=0, le=72, allow_inf_nan=False)] = 8.0
    suites: tuple[Line, ...] = ()
    cases: tuple[Line, ...] = ()
    nics: tuple[Line, ...] = ()
    repeat: Annotated[int, Field(ge=1, le=MAX_REPEAT)] = 1
    pairs: Annotated[int, Field(ge=0, le=1000)] = 0
    bisect: bool = True
    results: Line = ""
    known: Line = ""
    mail: Mail = Mail()

    @model_validator(mode="after")
    def _names(self) -> NightSpec:
        twice = [name for name, times in Counter(target.name for target in self.target).items() if times > 1]
        if twice:
            raise ValueError(f"several targets are called {', '.join(twice)}")
        return self


def load_night(text: str, path: str) -> NightSpec:
    """Raises BadInput with every problem, each with file and key."""
    hint = f"the keys are {', '.join(NightSpec.model_fields)}; of a [[target]] {', '.join(Target.model_fields)}"
    try:
        return NightSpec.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as exc:
        raise BadInput([f"{path}: not TOML: {exc}"], hint=hint) from exc
    except ValidationError as exc:
        problems = [f"{path}: {'.'.join(map(str, e['loc'])) or 'target'}: {e['msg']}" for e in exc.errors()]
        raise BadInput(problems, hint=hint) from exc
