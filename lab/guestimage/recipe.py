# SPDX-License-Identifier: GPL-2.0-only
"""images/recipe.toml: what the userland consists of."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from lab.errors import BadInput


class Recipe(BaseModel):
    """suite and packages of the distribution, patterns never unpacked, paths removed at the end, and links made then:
    the name of each, below the root, and where it leads in a guest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    suite: str
    packages: tuple[str, ...]
    exclude: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    links: dict[str, str] = {}


def load_recipe(path: Path) -> Recipe:
    """Raises BadInput with every problem of the file."""
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text()))
    except tomllib.TOMLDecodeError as exc:
        raise BadInput([f"{path}: {exc}."]) from exc
    except ValidationError as exc:
        keys = (".".join(map(str, e["loc"])) for e in exc.errors())
        raise BadInput([f"{path}: {key}: {e['msg']}." for key, e in zip(keys, exc.errors(), strict=True)]) from exc
