# SPDX-License-Identifier: GPL-2.0-only
"""Every source file says its licence. Where one does not, the failure is the commands that mend it: paste them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from lab.host.paths import project_root

SPDX = "SPDX-License-Identifier: GPL-2.0-only"
HASH, SLASHES, STARS = f"# {SPDX}", f"// {SPDX}", f"/* {SPDX} */"
OTHER = re.compile(r"\S+ SPDX-License-Identifier: ")
"""A second line says another licence beside the first."""
FORMS = {
    **dict.fromkeys((".py", ".sh", ".yml", ".toml", ".ini", ".cfg", ".mk", "Makefile", "run"), HASH),
    **dict.fromkeys((".c", ".js"), SLASHES),
    ".h": STARS,  # as Documentation/process/license-rules.rst of the kernel has it
}
"""By suffix, or by the name of a file without one. Templates are left out: their comments would be in what they make;
and so are kernel fragments: the key of every built kernel covers their text."""

PLACES = (".ci", "bench", "images", "lab", "playbooks", "suites", "tests")


def sources(root: Path) -> Iterator[tuple[Path, str]]:
    """Files that need the line, and the line. An empty file is nobody's work."""
    inside = (path for place in PLACES for path in (root / place).rglob("*"))
    for path in (*root.iterdir(), *inside):
        form = FORMS.get(path.suffix or path.name)
        made = {"build", "corpus", "results", "__pycache__"} & set(path.relative_to(root).parts)
        if form and not made and path.is_file() and path.stat().st_size:
            yield path, form


def lacking(root: Path) -> list[str]:
    """A command for each file without the line, which puts it first, or below `#!`; and for each with a second one."""
    commands = []
    for path, form in sources(root):
        lines = path.read_text().splitlines()
        below = 1 if lines[0].startswith("#!") else 0
        name = str(path.relative_to(root))
        if lines[below : below + 1] != [form]:
            order = f"1a {form}" if below else f"1i {form}"
            commands.append(shlex.join(["sed", "-i", order, name]))
        elif OTHER.match("".join(lines[below + 1 : below + 2])):
            commands.append(shlex.join(["sed", "-i", f"{below + 2}d", name]))
    return sorted(commands)


def test_every_source_file_says_its_licence() -> None:
    commands = lacking(project_root())
    assert not commands, "in the root of the project:\n" + "\n".join(commands)


def test_what_lacks_it_is_told_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    for name, text in {
        "lab/a.py": '"""A."""\n',
        "lab/good.py": f'{HASH}\n"""B."""\n',
        "lab/two.c": f"{SLASHES}\n{SLASHES.replace('only', 'or-later')}\n",
        "lab/empty.py": "",
        "x.sh": "#!/bin/sh\ntrue\n",
        "lab/c.h": f"{SLASHES}\n",
        "lab/data.json": "{}",
        "Makefile": f"{HASH.replace('only', 'or-later')}\n",
    }.items():
        (tmp_path / name).write_text(text)
    assert lacking(tmp_path) == [
        f"sed -i '1a {HASH}' x.sh",
        f"sed -i '1i {HASH}' Makefile",
        f"sed -i '1i {HASH}' lab/a.py",
        f"sed -i '1i {STARS}' lab/c.h",
        "sed -i 2d lab/two.c",
    ]


def test_the_licence_is_there() -> None:
    assert "Version 2, June 1991" in (project_root() / "LICENSE").read_text()
    assert len(list(sources(project_root()))) > 400
