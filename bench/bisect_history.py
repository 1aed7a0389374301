# SPDX-License-Identifier: GPL-2.0-only
"""`python -m bench.bisect_history DIR [SEED]`: a git history of Linux 6.12 to search for culprits that are known.

On put-hook's series follow 64 commits or some more, merges among them. Most do nothing that a case sees. Three do:

pin    the charge of a page ends when it is unmapped, though a pipe has it    pin-vmsplice fails from there on
bytes  one in three mappings of a socket gets one wrong byte                  bytes-equal fails in some runs
map    vm_insert_pages() refuses pages without a mapping, as it refused       preflight says ERROR from there on
       typed pages in 7.1-rc1 to rc5 (db359fccf212, 54cf41c969da)

Some commits do not build, do not boot, or panic when a socket is mapped; each is mended two commits later. The tags
`good`, `bad` (before `map`), `spoilt` (`bytes` itself) and `unmappable` are ends for `lab bisect`; what is true is
printed, and lies in DIR/truth.json. Objects are borrowed from the lab's tree of the base, so DIR is small.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import BadInput
from lab.host.commands import run
from lab.host.records import write_record
from lab.kernels.given import series_given
from lab.kernels.recipes import images, recipe_of
from lab.kernels.series import Patch
from lab.kernels.tree import BASE_REF, Tree, ensure_tree

COMMITS = 64
NOISY = ("net/ipv4", "net/core", "mm", "kernel", "lib", "fs")
HOST = re.compile(r"/(gen_|bounds\.c|.*_test\.c|test_)")
"""What a build runs on the host, or all depends on; and tests, which are not built."""
HEADER = "include/linux/mm.h"
BRANCHED = 0.12
"""How often a commit begins a side branch of two to four."""

Edit = tuple[str, str, str]
"""A path, what stands there once, and what replaces it."""

PIN = images() / "mutants" / "put-hook" / "uncharged-at-unmap.patch"
BYTES: tuple[Edit, ...] = (
    (
        "net/ipv4/tcp.c",
        "int tcp_mmap(struct file *file, struct socket *sock,\n",
        "static bool tcp_prefetch_next;\n\nint tcp_mmap(struct file *file, struct socket *sock,\n",
    ),
    (
        "net/ipv4/tcp.c",
        "\tvma->vm_ops = &tcp_vm_ops;\n\treturn 0;\n",
        "\tvma->vm_ops = &tcp_vm_ops;\n\ttcp_prefetch_next = !get_random_u32_below(3);\n\treturn 0;\n",
    ),
    (
        "net/ipv4/tcp.c",
        "\tpages_charged = tcp_zerocopy_precharge(",
        "\tif (tcp_prefetch_next) {\n\t\ttcp_prefetch_next = false;\n\t\t*(u8 *)page_address(pages[0]) ^= 1;\n\t}\n"
        "\tpages_charged = tcp_zerocopy_precharge(",
    ),
)
MAP: tuple[Edit, ...] = (
    (
        "mm/memory.c",
        "folio_test_slab(folio) ||\n\t    page_has_type(page))",
        "folio_test_slab(folio) ||\n\t    page_has_type(page) || !folio->mapping)",
    ),
)
TROUBLES: dict[str, Edit] = {
    "does not build": ("mm/util.c", '#include "internal.h"\n', '#include "internal.h"\n#include "util_internal.h"\n'),
    "does not boot": (
        "net/ipv4/af_inet.c",
        "\traw_hashinfo_init(&raw_v4_hashinfo);\n",
        "\traw_hashinfo_init(&raw_v4_hashinfo);\n\tBUG_ON(raw_v4_hashinfo.ht);\n",
    ),
    "panics": (
        "net/ipv4/tcp.c",
        "\tif (vma->vm_flags & (VM_WRITE | VM_EXEC))\n\t\treturn -EPERM;\n",
        "\tif (vma->vm_flags & (VM_WRITE | VM_EXEC))\n\t\treturn -EPERM;\n\tBUG_ON(sock->ops);\n",
    ),
}


@dataclass
class History:
    """Commits made without a working tree, through an index of their own."""

    tree: Tree
    tip: str
    files: Iterator[str]
    env: dict[str, str]
    count: int = 0
    truth: dict[str, str] = field(default_factory=dict)

    def commit(self, subject: str, edit: Callable[[], None], name: str = "") -> None:
        """One more on the tip; under `name` it is part of what is true."""
        self.tree.git("read-tree", self.tip, env=self.env)
        edit()
        self._made(subject, self.tip)
        if name:
            self.truth[name] = self.tip

    def merge(self, side: str) -> None:
        tree = self.tree.git("merge-tree", "--write-tree", self.tip, side).decode().split()[0]
        self.tree.git("read-tree", tree, env=self.env)
        self._made("Merge a side branch", self.tip, side)

    def _made(self, subject: str, *parents: str) -> None:
        tree = self.tree.git("write-tree", env=self.env).decode().strip()
        given = [word for parent in parents for word in ("-p", parent)]
        message = f"{subject}\n\nCommit {self.count} of a history that bench/bisect_history.py has made.\n"
        self.tip = self.tree.git("commit-tree", tree, *given, data=message.encode()).decode().strip()
        self.count += 1

    def replace(self, *edits: Edit) -> None:
        """Raises BadInput where the text to be replaced is not there exactly once."""
        for path, old, new in edits:
            text = self.tree.git("cat-file", "blob", f":{path}", env=self.env).decode()
            if text.count(old) != 1:
                raise BadInput([f"{path}: what is to be changed is there {text.count(old)} times: {old!r}"])
            self._put(path, text.replace(old, new))

    def patch(self, patch: Patch) -> None:
        self.tree.git("apply", "--cached", "-", env=self.env, data=patch.diff.encode())

    def noise(self, rng: random.Random) -> None:
        """A comment, or data that nobody uses: the second makes another kernel."""
        path = next(self.files)
        said = f"/* Seen {rng.randrange(10**6)} times. */\n"
        if rng.random() < 0.7:
            said += f"static int seen_{self.count} __used = {rng.randrange(10**6)};\n"
        area, _, file = path.rpartition("/")
        self.commit(f"{area}: count what is seen in {file}", lambda: self.add(path, said))

    def add(self, path: str, text: str) -> None:
        self._put(path, self.tree.git("cat-file", "blob", f":{path}", env=self.env).decode() + text)

    def _put(self, path: str, text: str) -> None:
        blob = self.tree.git("hash-object", "-w", "--stdin", data=text.encode()).decode().strip()
        self.tree.git("update-index", "--cacheinfo", f"100644,{blob},{path}", env=self.env)


def make(folder: Path, seed: int) -> History:
    """Raises BadInput, LabError."""
    if folder.exists():
        raise BadInput([f"{folder} is there already"], hint="another folder, or remove it")
    recipe = recipe_of("put-hook")
    tree = ensure_tree(recipe.base, print)
    run(["git", "clone", "-q", "--bare", "--shared", str(tree.root), str(folder)])
    rng, mine = random.Random(seed), Tree(folder)  # noqa: S311 - the same history again, nothing secret
    mine.git("update-ref", BASE_REF, tree.base_commit(recipe.base))
    start = mine.committed(recipe.base, recipe.series)
    history = History(mine, start, iter(_noisy(mine, start, rng)), {"GIT_INDEX_FILE": str(folder / "made.index")})
    for step in _steps(rng):
        step(history, rng)
    mine.git("update-ref", "refs/heads/main", history.tip)
    truth = history.truth
    ends = {"good": start, "bad": f"{truth['map']}^", "spoilt": truth["bytes"], "unmappable": history.tip}
    for name, commit in ends.items():
        mine.git("tag", name, commit)
    write_record(folder / "truth.json", {"seed": seed, "commits": history.count, **truth})
    return history


Step = Callable[[History, random.Random], None]


def _steps(rng: random.Random) -> Iterator[Step]:
    """What is committed, in order; a branch counts as what is on it."""
    (pin,) = series_given(str(PIN)).patches
    special: list[Step] = [
        lambda h, _: h.commit("mm: uncharge with the last mapping", lambda: h.patch(pin), "pin"),
        lambda h, _: h.commit("tcp: remember what is mapped next", lambda: h.replace(*BYTES), "bytes"),
        lambda h, _: h.commit("mm: say which pages are seen", lambda: h.replace((HEADER, *_commented())), "header"),
        *(_trouble(name, edit) for name, edit in TROUBLES.items()),
    ]
    rng.shuffle(special)
    left = COMMITS - 3 * len(TROUBLES) - 4 - 6
    for step in special:
        for _ in range(left // len(special)):
            yield _quiet
        yield step
    yield _quiet
    yield lambda h, _: h.commit("mm: insert pages with a mapping alone", lambda: h.replace(*MAP), "map")
    for _ in range(3):
        yield _quiet


def _commented() -> tuple[str, str]:
    return "#ifndef _LINUX_MM_H\n", "/* What a page is, and who has it. */\n#ifndef _LINUX_MM_H\n"


def _quiet(history: History, rng: random.Random) -> None:
    """A commit; or a side branch, with as much beside it, and their merge."""
    if rng.random() >= BRANCHED:
        history.noise(rng)
        return
    start = history.tip
    for _ in range(rng.randrange(2, 5)):
        history.noise(rng)
    side, history.tip = history.tip, start
    history.noise(rng)
    history.merge(side)


def _trouble(name: str, edit: Edit) -> Step:
    """A commit that is broken, one in between, and its mend."""
    path, old, new = edit

    def step(history: History, rng: random.Random) -> None:
        area = path.partition("/")[0]
        history.commit(f"{area}: tidy up {path}", lambda: history.replace(edit), name)
        history.noise(rng)
        history.commit(f"{area}: mend {path}", lambda: history.replace((path, new, old)))

    return step


def _noisy(tree: Tree, commit: str, rng: random.Random) -> list[str]:
    """Source files that a guest's kernel is made of, for the most part; each is taken once."""
    listed = tree.git("ls-tree", "--name-only", commit, *(f"{folder}/" for folder in NOISY)).decode().split()
    edited = {path for path, *_ in (*BYTES, *MAP, *TROUBLES.values())}
    found = [path for path in listed if path.endswith(".c") and path not in edited and not HOST.search(path)]
    rng.shuffle(found)
    return found


def main() -> None:
    folder, seed = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    history = make(folder, seed)
    print(f"{history.count} commits from seed {seed} in {folder}")
    for name, commit in history.truth.items():
        print(f"  {name:<16} {commit[:12]}")


if __name__ == "__main__":
    main()
