# SPDX-License-Identifier: GPL-2.0-only
"""The git tree of a base: made once, series committed beside each other, one of them checked out.

Series are committed through an index of their own: one that does not apply never touches the files, and two that share
most of their files differ in those alone when one is checked out after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import Path

from lab.contracts import Progress
from lab.errors import BadInput, CommandFailed, FetchFailed
from lab.host.commands import run
from lab.host.filecache import MOVE_CACHE, ensure_dir, require_space
from lab.host.paths import cache_root, temporary_folder
from lab.kernels.base import Base
from lab.kernels.deb import Deb, unpacked
from lab.kernels.hunks import first_misfit
from lab.kernels.kconfig import Kconfig
from lab.kernels.plain import is_without_prefix
from lab.kernels.series import Patch, Series, raw
from lab.units import MIB

TREE_SPACE = 3000 * MIB  # source 1.5 GiB, its git objects 0.6, an object directory 0.2 to 0.5
_FIXED = {  # the same series makes the same commits, on every host and at every time
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
    "GIT_AUTHOR_NAME": "lab",
    "GIT_AUTHOR_EMAIL": "lab@localhost",
    "GIT_COMMITTER_NAME": "lab",
    "GIT_COMMITTER_EMAIL": "lab@localhost",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
}
BASE_REF = "refs/lab/base"
_MISSING = "does not exist in index"


@dataclass(frozen=True)
class Tree:
    """Only the process that holds the builder's lock may change it."""

    root: Path

    def git(self, *argv: str, env: dict[str, str] | None = None, data: bytes = b"") -> bytes:
        return run(["git", "-c", "safe.directory=*", *argv], cwd=self.root, env={**_FIXED, **(env or {})}, data=data)

    def base_commit(self, base: Base) -> str:
        return base.revision if base.kind == "git" else self.git("rev-parse", BASE_REF).decode().strip()

    def committed(self, base: Base, series: Series) -> str:
        """The commit of a series on the base. Raises BadInput with the first patch and hunk that does not apply."""
        start = self.base_commit(base)
        if not series.patches:
            return start
        ref = f"refs/lab/{start[:16]}-{series.key}"
        known = self.git("for-each-ref", "--format=%(objectname)", ref).decode().strip()
        if known:
            return known
        with temporary_folder() as work:
            commit = self._commit_all(start, series, work)
        self.git("update-ref", ref, commit)
        return commit

    def checked_out(self, commit: str) -> None:
        """Bring the files to a commit; files that are the same there and here are not touched."""
        (self._git_dir / "index.lock").unlink(missing_ok=True)  # of a builder that was killed
        self.git("checkout", "--quiet", "--force", "--detach", commit)

    def changed(self, before: str, after: str) -> tuple[str, ...]:
        """Paths that differ between two commits; both must be there."""
        return tuple(self.git("diff", "--name-only", before, after).decode().splitlines())

    def kconfig(self) -> Kconfig:
        """The options that the files checked out now define."""

        def read(path: str) -> str | None:
            file = self.root / path
            return file.read_text(errors="replace") if file.is_file() else None

        return Kconfig(read)

    @property
    def _git_dir(self) -> Path:
        return self.root / ".git"

    def rehearse(self, start: str, series: Series, work: Path) -> None:
        """Commit a series where nobody looks for it. Raises as `committed` does."""
        self._commit_all(start, series, work)

    def _commit_all(self, start: str, series: Series, work: Path) -> str:
        env = {"GIT_INDEX_FILE": str(work / "index")}
        self.git("read-tree", start, env=env)
        parent = start
        for number, patch in enumerate(series.patches, start=1):
            place = f"patch {number} of {len(series.patches)}"
            parent = self._commit(parent, patch, place, work, env)
        return parent

    def _commit(self, parent: str, patch: Patch, place: str, work: Path, env: dict[str, str]) -> str:
        message = work / "message"
        message.write_text(f"{patch.subject}\n\n{patch.message}", errors="replace")
        self._apply(patch, place, env)
        name, address = parseaddr(patch.author)
        by = {"GIT_AUTHOR_NAME": name or "nobody", "GIT_AUTHOR_EMAIL": address or "nobody@localhost"}
        tree = self.git("write-tree", env=env).decode().strip()
        return self.git("commit-tree", tree, "-p", parent, "-F", str(message), env=by).decode().strip()

    def _apply(self, patch: Patch, place: str, env: dict[str, str]) -> None:
        """Into the index. As git does by itself first; then paths as they are, and without the CRs that a mail program
        of another system put at every end of line. Raises BadInput, FetchFailed."""
        options = patch.options
        if is_without_prefix(patch.diff) and not _has_level(patch):
            options = (*options, "-p0")
        try:
            self._applied(patch.diff, options, env)
        except CommandFailed as first:
            # Only where a file to be changed is missing: a file that is made fits under any name.
            if _MISSING not in first.output or _has_level(patch) or "-p0" in options:
                raise self._refusal(patch, place, first, env) from first
            try:
                self._applied(patch.diff, (*options, "-p0"), env)
            except CommandFailed as exc:
                raise self._refusal(patch, place, first if _MISSING in exc.output else exc, env) from exc

    def _applied(self, diff: str, options: tuple[str, ...], env: dict[str, str]) -> None:
        argv = ["apply", "--cached", "--whitespace=nowarn", *options, "-"]
        try:
            self.git(*argv, env=env, data=raw(diff))
        except CommandFailed:
            if "\r\n" not in diff:
                raise
            self.git(*argv, env=env, data=raw(diff.replace("\r\n", "\n")))

    def _refusal(self, patch: Patch, place: str, refused: CommandFailed, env: dict[str, str]) -> Exception:
        if "No space left" in refused.output:
            return FetchFailed(f"no space left while applying {patch.source}", hint=MOVE_CACHE)

        def read(path: str) -> str | None:
            try:
                return self.git("cat-file", "blob", f":{path}", env=env).decode("utf-8", "surrogateescape")
            except CommandFailed:
                return None

        diff = patch.diff.replace("\r\n", "\n")
        misfits = [first_misfit(diff, read, strip=level) for level in (1, 0)]
        # Where the paths are whole, the file is there only as it is named.
        why = next((m for m in misfits if m and m.header), misfits[0]) or refused.output.strip().replace("\n", "\n  ")
        told = f'{place}, "{patch.subject}" ({patch.source}), does not apply:\n  {why}'
        return BadInput([told], hint="rebase the series on this base, or name another with --base")


def _has_level(patch: Patch) -> bool:
    return any(option.startswith("-p") for option in patch.options)


def tree_dir(base: Base) -> Path:
    """Where the tree of a base lies, made or not."""
    return cache_root() / "build" / base.tree_key


def fits(base: Base, series: Series) -> bool | None:
    """Whether a series goes on a base: tried in a repository of its own that borrows the base's objects. None where the
    base is not on this disk yet. Raises BadInput with the first patch that does not fit."""
    tree = Tree(tree_dir(base) / "tree")
    objects = Path(base.location) / "objects" if base.kind == "git" else tree.root / ".git" / "objects"
    if not objects.is_dir():
        return None
    start = tree.base_commit(base)
    with temporary_folder() as work:
        run(["git", "init", "-q", "--bare", str(work / "spare")])
        (work / "spare" / "objects" / "info" / "alternates").write_text(f"{objects}\n")
        Tree(work / "spare").rehearse(start, series, work)
    return True


def kconfig_of(base: Base) -> Kconfig | None:
    """The options that the tree of a base defines, None when there is no tree (any more)."""
    tree = Tree(tree_dir(base) / "tree")
    return tree.kconfig() if tree.root.is_dir() else None


def ensure_tree(base: Base, progress: Progress) -> Tree:
    """The tree of a base, its commit there. Raises FetchFailed, BadInput."""

    def make(partial: Path) -> None:
        require_space(partial, TREE_SPACE + 3 * base.size)
        root = partial / "tree"
        if base.kind == "git":
            run(["git", "-c", "safe.directory=*", "clone", "-q", "--shared", "--no-checkout", base.location, str(root)])
        else:
            root.mkdir()
            _unpack(base, partial, root, progress)
            _import(Tree(root), base, progress)
        (root / ".git" / "info").mkdir(exist_ok=True)
        (root / ".git" / "info" / "exclude").write_text("/obj-*\n")

    return Tree(ensure_dir(tree_dir(base), make, progress=progress) / "tree")


def _unpack(base: Base, partial: Path, root: Path, progress: Progress) -> None:
    if base.kind == "tarball":
        progress(f"unpacking {base.label}")
        _untar(Path(base.location), root)
        return
    with temporary_folder(partial) as work:
        deb = Deb(base.location, base.revision, base.size, base.key, base.archive)
        files = unpacked(deb, work, progress)
        _untar(next((files / "usr" / "src").glob(f"{base.location}.tar*")), root)


def _untar(tarball: Path, root: Path) -> None:
    try:
        run(["tar", "-x", "--strip-components=1", "--no-same-owner", "-f", str(tarball), "-C", str(root)])
    except CommandFailed as exc:
        if "No space left" in exc.output:
            raise FetchFailed(f"no space left while unpacking {tarball.name}", hint=MOVE_CACHE) from exc
        raise BadInput([f"base {tarball}: tar cannot unpack it: {exc.output.strip().splitlines()[-1]}"]) from exc
    if not (root / "Makefile").is_file():
        raise BadInput([f"base {tarball}: no Makefile at the top of its only directory."])


def _import(tree: Tree, base: Base, progress: Progress) -> None:
    """Commit everything. Forced: what the tarball holds is source, whatever its .gitignore says (Debian's ends by
    ignoring all files at the top)."""
    progress(f"importing {base.label} into git")
    tree.git("init", "-q")
    tree.git("-c", "core.looseCompression=1", "add", "--force", "--all")
    commit = tree.git("commit-tree", tree.git("write-tree").decode().strip(), "-m", base.label).decode().strip()
    tree.git("update-ref", BASE_REF, commit)
    tree.git("checkout", "--quiet", "--force", "--detach", commit)
