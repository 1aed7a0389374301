# SPDX-License-Identifier: GPL-2.0-only
"""Builds for real, with make, gcc, git and ccache, of a source of four files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.kernels import products
from lab.kernels.base import find_base
from lab.kernels.build import ensure_built, find_built
from lab.kernels.delivered import from_mbox
from lab.kernels.fragments import Fragment
from lab.kernels.make import members
from lab.kernels.recipe import Recipe
from lab.kernels.series import Series
from lab.kernels.tree import tree_dir
from lab.units import Deadline, wait_until
from tests.unit.kernels.sourcetree import change, git, repository, tarball

PLAIN = Fragment("guest.config", "CONFIG_PVH=y\nCONFIG_NET=y\nCONFIG_E1000E=y\n")


def quiet(_: str) -> None:
    pass


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("lab.kernels.tree.TREE_SPACE", 0)
    monkeypatch.setattr("lab.kernels.build.OBJECTS_SPACE", 0)
    return tmp_path / "cache"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return repository(tmp_path / "linux")


def recipe(source: Path, series: Series | bytes = b"", *, name: str = "mine", config: Fragment = PLAIN) -> Recipe:
    patches = from_mbox(series, "x.mbox") if isinstance(series, bytes) and series else series or Series()
    assert isinstance(patches, Series)
    return Recipe(name, "stock", find_base(f"{source}#HEAD"), patches, (config,))


def objects_made(product: products.Product) -> int:
    return int(product.record["objects"])


def test_a_kernel_is_built_once_and_then_only_looked_up(source: Path) -> None:
    wanted = recipe(source)
    assert find_built(wanted) is None
    product = ensure_built(wanted, quiet)
    assert (objects_made(product), product.record["release"]) == (4, "6.99.0-lab")
    assert product.damage() == ()
    said: list[str] = []
    started = time.monotonic()
    assert ensure_built(wanted, said.append).path == product.path
    assert time.monotonic() - started < 1
    assert said == []


def test_progress_tells_how_many_objects_of_how_many(source: Path) -> None:
    ensure_built(recipe(source), quiet)
    git(source, "commit", "-q", "--allow-empty", "-m", "another")
    tree = tree_dir(find_base(f"{source}#HEAD")) / "tree"
    subprocess.run(["rm", "-r", *tree.glob("obj-*")], check=True)
    said: list[str] = []
    ensure_built(recipe(source), said.append)
    assert "building mine: 4 of about 4 objects" in said
    patch = change(source, "net: another answer", {"net.c": ("return 2", "return 3")})
    ensure_built(recipe(source, patch), said.append)
    assert said[-1] == "building mine: 1 of at most 4 objects"


def test_a_neighbour_is_incremental_and_back_again_as_well(source: Path) -> None:
    patch = change(source, "net: another answer", {"net.c": ("return 2", "return 3")})
    stock = ensure_built(recipe(source), quiet)
    changed = ensure_built(recipe(source, patch, name="changed"), quiet)
    assert objects_made(changed) == 1
    assert changed.boot.read_bytes() != stock.boot.read_bytes()
    (stock.path / products.RECORD).unlink()
    stock.path.rename(stock.path.with_name("away"))
    again = ensure_built(recipe(source), quiet)
    assert objects_made(again) == 1
    assert again.boot.read_bytes() == (stock.path.with_name("away") / "boot").read_bytes()


def test_another_revision_of_a_repository_is_incremental(source: Path) -> None:
    ensure_built(recipe(source), quiet)
    (source / "mm.c").write_text((source / "mm.c").read_text().replace("return 1", "return 10"))
    git(source, "commit", "-q", "-a", "-m", "mm: more")
    assert objects_made(ensure_built(recipe(source), quiet)) == 1


def test_neither_key_nor_record_tells_from_which_folder_a_series_was_read(source: Path) -> None:
    patch = change(source, "net: another answer", {"net.c": ("return 2", "return 3")})
    base = find_base(f"{source}#HEAD")
    here, there = (Recipe("t", "stock", base, from_mbox(patch, f"/{at}/s.mbox"), (PLAIN,)) for at in ("home/a", "b"))
    assert here.key("gcc") == there.key("gcc")
    assert [p["source"] for p in ensure_built(here, quiet).record["series"]] == ["s.mbox"]


def test_the_same_series_makes_the_same_commit_from_a_tarball_too(source: Path, tmp_path: Path) -> None:
    patch = change(source, "net: another answer", {"net.c": ("return 2", "return 3")})
    base = find_base(str(tarball(tmp_path)))
    product = ensure_built(Recipe("t", "stock", base, from_mbox(patch, "p"), (PLAIN,)), quiet)
    assert objects_made(product) == 4
    tree = tree_dir(base) / "tree"
    assert git(tree, "show", "-s", "--format=%an %ad %s", "--date=short") == "a 2026-01-01 net: another answer\n"
    assert (tree / ".gitignore").read_text().endswith("/*\n")


def test_an_overlay_has_objects_of_its_own(source: Path) -> None:
    ensure_built(recipe(source), quiet)
    other = Fragment("other.config", "CONFIG_PVH=y\nCONFIG_NET=y\n")
    assert objects_made(ensure_built(recipe(source, config=other), quiet)) == 4
    patch = change(source, "net: another answer", {"net.c": ("return 2", "return 3")})
    assert objects_made(ensure_built(recipe(source, patch), quiet)) == 1


def test_the_first_hunk_that_does_not_apply_is_told_and_the_tree_is_clean(source: Path) -> None:
    good = change(source, "net: another answer", {"net.c": ("return 2", "return 3")})
    bad = change(source, "mm: more", {"mm.c": ("return 1;", "return 10;")}).replace(b"line 19", b"line nineteen")
    ensure_built(recipe(source), quiet)
    with pytest.raises(BadInput) as caught:
        ensure_built(recipe(source, good + b"\n" + bad), quiet)
    (problem,) = caught.value.problems
    assert problem.startswith('patch 2 of 2, "mm: more" (x.mbox, message 2), does not apply:\n  mm.c: @@ -')
    assert "- /* line nineteen */" in problem
    assert "+ /* line 19 */" in problem
    tree = tree_dir(find_base(f"{source}#HEAD")) / "tree"
    assert git(tree, "status", "--porcelain") == ""
    assert objects_made(ensure_built(recipe(source, good), quiet)) == 1


def test_an_option_that_cannot_survive_is_told_with_the_reason(source: Path) -> None:
    config = Fragment("mine.config", "CONFIG_PVH=y\nCONFIG_E1000E=y\nCONFIG_NOT_THERE=y\n")
    with pytest.raises(BadInput) as caught:
        ensure_built(recipe(source, config=config), quiet)
    assert caught.value.problems == (
        "mine.config:2: CONFIG_E1000E=y did not survive, it is n: depends on NET (NET=n) at Kconfig:7.",
        "mine.config:3: CONFIG_NOT_THERE=y did not survive, it is n: no Kconfig file of this base has it.",
    )
    with pytest.raises(BadInput):  # the first refusal must not count as configured
        ensure_built(recipe(source, config=config), quiet)


SYSCTL = 'config PROC_FS\n\tbool "proc"\n\nconfig SYSCTL\n\tbool "sysctl"\n\n'


def with_sysctl(source: Path) -> None:
    """As Linux has it since 7.3, and already before its Makefile says so: PROC_SYSCTL is SYSCTL."""
    (source / "Kconfig").write_text(SYSCTL + (source / "Kconfig").read_text())
    git(source, "commit", "-q", "-a", "-m", "sysctl")


def test_an_option_that_is_gone_gives_way_to_what_stands_for_it(source: Path) -> None:
    with_sysctl(source)
    config = Fragment("guest.config", PLAIN.text + "CONFIG_PROC_FS=y\nCONFIG_PROC_SYSCTL=y\n")
    product = ensure_built(recipe(source, config=config), quiet)
    assert product.config()["CONFIG_SYSCTL"] == "y"
    assert product.damage() == ()


def test_a_kernel_without_proc_sys_is_refused(source: Path) -> None:
    with_sysctl(source)
    off = Fragment("guest.config", PLAIN.text + "CONFIG_PROC_FS=y\n# CONFIG_PROC_SYSCTL is not set\n")
    with pytest.raises(BadInput, match="no /proc/sys"):
        ensure_built(recipe(source, config=off), quiet)


def test_a_compiler_error_is_told_by_its_line_and_the_log_is_named(source: Path) -> None:
    broken = change(source, "net: broken", {"net.c": ("return 2;", "return two;")})
    ensure_built(recipe(source), quiet)
    with pytest.raises(BadInput, match=r"net\.c:5:\d+: error: .*two") as caught:
        ensure_built(recipe(source, broken, name="broken"), quiet)
    log = Path(caught.value.hint.partition(": ")[2])
    assert "two" in log.read_text()
    assert find_built(recipe(source, broken)) is None
    repaired = change(source, "net: right", {"net.c": ("return 2;", "return 22;")})
    assert objects_made(ensure_built(recipe(source, repaired), quiet)) == 1


def test_a_source_that_is_older_than_the_compiler_is_told_as_that(source: Path) -> None:
    """gcc 15's words, said by the gcc that is here."""
    said = "cannot use keyword 'false' as enumeration constant"
    old = change(source, "net: old", {"net.c": ("return 2;", f'#pragma GCC error "{said}"\nreturn 2;')})
    with pytest.raises(BadInput, match=r"does not build: gcc 15 and newer want b3bee1e7c3f2 .*\n.*net\.c:5:"):
        ensure_built(recipe(source, old, name="old"), quiet)


def test_a_kernel_that_qemu_could_not_boot_is_refused(source: Path) -> None:
    no_note = change(source, "note: gone", {"note.S": (".long 4, 8, 18", ".long 4, 8, 17")})
    with pytest.raises(BadInput, match="PVH"):
        ensure_built(recipe(source, no_note), quiet)


PREAMBLE = """
import sys
from pathlib import Path
from lab.host.interrupt import end_in_order
end_in_order()
import lab.kernels.build as b
import lab.kernels.tree as t
t.TREE_SPACE = b.OBJECTS_SPACE = 0
from tests.unit.kernels.test_build import recipe
say = lambda text: print(text, flush=True)
"""


def _in_child(source: Path, code: str) -> subprocess.Popen[str]:
    """A lab process of its own that builds `recipe(source)` with a slow compiler step."""
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + code, str(source)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=_python_path(),
    )


def _python_path() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])}


BUILD = "b.ensure_built(recipe(Path(sys.argv[1])), say); say('done')"


def slow(source: Path, gate: Path) -> None:
    """Let the build of net.o wait until somebody opens the gate (a fifo)."""
    os.mkfifo(gate)
    text = (source / "Makefile").read_text()
    (source / "Makefile").write_text(
        text.replace('@echo "  CC      $*.o"', f'@echo "  CC      $*.o"; test $* != net || cat {gate}')
    )
    git(source, "commit", "-q", "-a", "-m", "slow")


def test_an_interrupt_leaves_no_compiler_behind_and_the_next_build_goes_on(source: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    slow(source, gate)
    child = _in_child(source, BUILD)
    make_group = _group_of("cat", gate)
    child.send_signal(signal.SIGINT)
    output = child.communicate(timeout=30)[0]
    assert child.returncode != 0
    assert "KeyboardInterrupt" in output
    assert members(make_group) == ()
    writer = subprocess.Popen(["sh", "-c", f"exec echo go > {gate}"])
    product = ensure_built(recipe(source), quiet)
    assert writer.wait(10) == 0
    assert 1 <= objects_made(product) <= 4


def _group_of(command: str, argument: Path) -> int:
    """The process group of a command line that will be there soon."""

    def look() -> tuple[int | None, object]:
        for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = cmdline.read_bytes().split(b"\0")
                if words[:2] == [command.encode(), str(argument).encode()]:
                    return os.getpgid(int(cmdline.parent.name)), ""
            except (OSError, ProcessLookupError):
                continue
        return None, "not there"

    return wait_until(look, deadline=Deadline.after(f"{command} {argument}", timedelta(seconds=30)))


def test_two_builders_take_turns_and_the_second_is_told_whom_it_waits_for(source: Path, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    slow(source, gate)
    first = _in_child(source, BUILD)
    _group_of("cat", gate)
    other = BUILD.replace("recipe(Path(sys.argv[1]))", "recipe(Path(sys.argv[1]), name='second', config=o)")
    second = _in_child(
        source, "from lab.kernels.fragments import Fragment; o = Fragment('o', 'CONFIG_PVH=y\\n'); " + other
    )
    assert second.stdout is not None
    waiting = second.stdout.readline()
    assert waiting == f"waiting for process {first.pid} (kernel mine)\n"
    for child in (first, second):
        subprocess.run(["sh", "-c", f"echo go > {gate}"], check=True, timeout=30)
        assert child.communicate(timeout=30)[0].endswith("done\n")
    assert len(products.everything()) == 2


FULL = """
net = open(sys.argv[2], 'rb').read()
from lab.errors import FetchFailed
from tests.unit.kernels.test_build import quiet
try:
    b.ensure_built(recipe(Path(sys.argv[1]), net, name='large'), quiet)
except FetchFailed as exc:
    say(str(exc))
say(b.ensure_built(recipe(Path(sys.argv[1])), quiet).record['objects'])
"""


def test_a_full_disk_is_told_and_the_next_build_goes_on(source: Path, tmp_path: Path, cache: Path) -> None:
    """A real one: 40 MiB in a mount namespace of our own, and an object of 60."""
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--user", "--map-root-user"]
    if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here")
    patch = tmp_path / "large.patch"
    patch.write_bytes(change(source, "net: large", {"net.c": ("int net", "char large[60 << 20] = {1};\n\nint net")}))
    cache.mkdir()
    (tmp_path / "full.py").write_text(PREAMBLE + FULL)
    inside = f"mount -t tmpfs -o size=40m none {cache} && exec {sys.executable} {tmp_path}/full.py {source} {patch}"
    done = subprocess.run(
        [*namespace, "sh", "-c", inside], capture_output=True, text=True, env=_python_path(), check=False
    )
    told, hint, objects = done.stdout.splitlines()
    assert (told.startswith("no space left while building"), "clean-cache" in hint) == (True, True)
    assert int(objects) >= 1, "what did not fit is made again; what did, is there"


def test_a_killed_builder_leaves_a_tree_that_can_be_used(source: Path, tmp_path: Path) -> None:
    ensure_built(recipe(source), quiet)
    tree = tree_dir(find_base(f"{source}#HEAD")) / "tree"
    (tree / ".git" / "index.lock").touch()
    (tree / "net.c").write_text("rubbish")
    patch = change(source, "mm: more", {"mm.c": ("return 1;", "return 10;")})
    product = ensure_built(recipe(source, patch), quiet)
    assert objects_made(product) == 2


def test_a_record_that_does_not_fit_its_files_is_noticed(source: Path) -> None:
    product = ensure_built(recipe(source, change(source, "n", {"net.c": ("return 2", "return 3")})), quiet)
    assert product.damage() == ()
    (product.path / "config").write_text("CONFIG_PVH=n\n")
    (product.path / "series.mbox").write_bytes(
        (product.path / "series.mbox").read_bytes().replace(b"return 3", b"return 4")
    )
    assert [d.split()[0] for d in product.damage()] == ["config", "series.mbox", "key"]
