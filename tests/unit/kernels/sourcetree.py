# SPDX-License-Identifier: GPL-2.0-only
"""A tiny kernel source that answers as the real one does: `make O=DIR allnoconfig` and `vmlinux`, with a few C files.

The Makefile compiles for real and links an ELF with a PVH note; kconfig's part is played by a few lines of awk that
keep what the tree's Kconfig knows and whose dependency is on.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

MAKEFILE = r"""
O ?= .
FILES := init mm net
OBJS := $(patsubst %,$(O)/%.o,$(FILES))

allnoconfig:
	@awk -f scripts/conf.awk Kconfig $(KCONFIG_ALLCONFIG) > $(O)/.config

vmlinux: $(O)/vmlinux

$(O)/vmlinux: $(OBJS) $(O)/note.o
	@echo "  LD      vmlinux"
	@ld -static -e start -z noseparate-code -T scripts/vmlinux.lds -o $@ $^
	@echo kernel/drivers/net/e1000e/e1000e.ko > $(O)/modules.builtin

$(O)/note.o: note.S
	@echo "  AS      note.o"
	@gcc -c -o $@ $<

$(O)/%.o: %.c lab.h $(O)/.config
	@echo "  CC      $*.o"
	@$(CC) -nostdlib -ffreestanding -fno-stack-protector -c -o $@ $<
"""

CONF_AWK = r"""
FNR == 1 { nth++ }
nth == 1 && /^config / { name = "CONFIG_" $2; known[name] = 1 }
nth == 1 && /depends on / { needs[name] = "CONFIG_" $3 }
nth == 2 && /^CONFIG_/ { split($0, kv, "="); wanted[kv[1]] = kv[2]; order[++n] = kv[1] }
END {
	for (i = 1; i <= n; i++) {
		o = order[i]
		if ((o in known) && (!(o in needs) || wanted[needs[o]] == "y"))
			print o "=" wanted[o]
		else
			print "# " o " is not set"
	}
}
"""

LINKER_SCRIPT = r"""
PHDRS { text PT_LOAD; note PT_NOTE; }
SECTIONS {
	. = 0x1000000;
	.text : { *(.text*) } :text
	.rodata : { *(.rodata*) } :text
	.notes : { *(.note.Xen) } :text :note
	/DISCARD/ : { *(.comment) *(.note.GNU*) *(.eh_frame) *(.note.gnu*) }
}
"""

NOTE = r"""
	.section .note.Xen, "a", @note
	.long 4, 8, 18
	.asciz "Xen"
	.quad 0x1000000
	.section .note.GNU-stack, "", @progbits
"""

KCONFIG = """\
config PVH
	bool "PVH entry"

config NET
	bool "Networking"

config E1000E
	bool "Intel PRO/1000 PCI-Express"
	depends on NET
	help
	  A network card.
"""

FILES = {
    "Makefile": MAKEFILE,
    "Kconfig": KCONFIG,
    "scripts/conf.awk": CONF_AWK,
    "scripts/vmlinux.lds": LINKER_SCRIPT,
    "note.S": NOTE,
    "lab.h": "int init(void);\nint mm(void);\nint net(void);\n",
    "init.c": '#include "lab.h"\nconst char banner[] = "Linux version 6.99.0-lab (a@b)";\nint start(void)\n'
    "{\n\treturn init();\n}\n\n"
    "int init(void)\n{\n\treturn mm() + net();\n}\n",
    "mm.c": '#include "lab.h"\n'
    + "".join(f"\n/* line {n} */\n" for n in range(1, 20))
    + "int mm(void)\n{\n\treturn 1;\n}\n",
    "net.c": '#include "lab.h"\n\nint net(void)\n{\n\treturn 2;\n}\n',
    ".gitignore": "*.o\n# Debian packaging: ignore everything\n/*\n",
}


def write_source(root: Path) -> Path:
    """The files of the source in a directory."""
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text.lstrip("\n"))
    return root


def repository(root: Path) -> Path:
    """The source as a git repository with one commit."""
    write_source(root)
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "--force", "--all")
    git(root, "commit", "-q", "-m", "source")
    return root


def tarball(work: Path) -> Path:
    """The source as a release tarball."""
    write_source(work / "linux-6.99")
    made = work / "linux-6.99.tar.gz"
    subprocess.run(["tar", "-czf", made, "-C", work, "linux-6.99"], check=True)
    return made


def git(root: Path, *argv: str) -> str:
    """Run git there as somebody."""
    who = {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "a"), ("EMAIL", "a@b"))
    }
    env = os.environ | who | {"GIT_CONFIG_GLOBAL": "/dev/null"}
    return subprocess.run(["git", *argv], cwd=root, env=env, check=True, capture_output=True, text=True).stdout


def change(root: Path, subject: str, edits: dict[str, tuple[str, str]]) -> bytes:
    """A patch that replaces text in files, as `git format-patch` writes it; the repository stays as it was."""
    start = git(root, "rev-parse", "HEAD").strip()
    for name, (old, new) in edits.items():
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new))
    git(root, "commit", "-q", "-a", "-m", subject)
    patch = git(root, "format-patch", "-1", "--stdout")
    git(root, "reset", "-q", "--hard", start)
    return patch.encode()
