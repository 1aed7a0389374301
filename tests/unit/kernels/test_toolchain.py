# SPDX-License-Identifier: GPL-2.0-only
"""What old sources say under newer toolchains, as builds in the locale C say it."""

from __future__ import annotations

import pytest

from lab.kernels.toolchain import KNOWN, refusal

SAID = {
    "b3bee1e7c3f2": "./include/linux/stddef.h:11:9: error: cannot use keyword 'false' as enumeration constant",
    "52a9dab6d892": "subcmd-util.h:56:23: error: pointer may be used after 'realloc' [-Werror=use-after-free]",
    "e33a814e772c": "ld: scripts/dtc/dtc-parser.tab.o:(.bss+0x10): multiple definition of `yylloc'; first defined here",
    "1d489151e9f9": "arch/x86/entry/thunk_64.o: warning: objtool: missing symbol table",
}


@pytest.mark.parametrize("commit", SAID)
def test_what_a_newer_toolchain_refuses_is_known_by_the_commit_that_mends_it(commit: str) -> None:
    found = refusal(f"  CC      a.o\n{SAID[commit]}\nmake: *** [Makefile:1] Error 2\n")
    assert found is not None
    assert found.commit == commit
    assert {known.commit for known in KNOWN} == set(SAID)


@pytest.mark.parametrize(
    "line",
    [
        "net/core/skbuff.c:56:23: error: pointer 'skb' used after 'kfree' [-Werror=use-after-free]",
        "ld: net/a.o: in function `b': multiple definition of `c'",
        "include/linux/stddef.h:11:9: error: expected identifier before numeric constant",
    ],
)
def test_a_mistake_of_ones_own_is_none_of_them(line: str) -> None:
    assert refusal(line) is None
