# SPDX-License-Identifier: GPL-2.0-only
"""A source tree as small as one can be and still have selftests."""

from __future__ import annotations

from pathlib import Path

from suites.selftests.table import SELFTESTS

TOP = """kernelversion:
\t@echo 6.12.117
headers:
\tmkdir -p $(O)/usr/include && echo '#define ANSWER 42' > $(O)/usr/include/answer.h
"""
LIB_MK = """TEST_GEN_PROGS := $(patsubst %,$(OUTPUT)/%,$(TEST_GEN_PROGS))
TEST_GEN_FILES := $(patsubst %,$(OUTPUT)/%,$(TEST_GEN_FILES))
all: $(TEST_GEN_PROGS) $(TEST_GEN_FILES)
LDFLAGS += $(USERLDFLAGS)
CFLAGS += $(KHDR_INCLUDES)
$(OUTPUT)/%:%.c
\t$(LINK.c) $^ $(LDLIBS) -o $@
"""
DEMO = """TEST_GEN_PROGS := answers broken
TEST_GEN_FILES := helper unused
TEST_PROGS := script.sh
TEST_FILES := words.txt
include ../lib.mk
"""
ANSWERS = """#include <stdio.h>
#include <answer.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
	printf("TAP version 13\\n1..1\\nok 1 answer_%d\\n", ANSWER);
	if (!fork())
		return 0;
	wait(0);
	return 0;
}
"""


def small_tree(root: Path) -> Path:
    """Make it below `root`."""
    demo = root / SELFTESTS / "demo"
    files = {
        root / "Makefile": TOP,
        root / SELFTESTS / "lib.mk": LIB_MK,
        root / SELFTESTS / "kselftest/ktap_helpers.sh": "# none\n",
        root / SELFTESTS / "empty/Makefile": "include ../lib.mk\n",
        root / SELFTESTS / "bare/notes.txt": "no Makefile here\n",
        root / SELFTESTS / "wrong/Makefile": "include ../nowhere.mk\n",
        demo / "Makefile": DEMO,
        demo / "settings": "# seconds\ntimeout=7\n",
        demo / "answers.c": ANSWERS,
        demo / "broken.c": "int main(void) { return undeclared; }\n",
        demo / "helper.c": "int main(void) { return 0; }\n",
        demo / "unused.c": "int main(void) { return 0; }\n",
        demo / "script.sh": "#!/bin/sh\n./helper && cat words.txt\n",
        demo / "words.txt": "words\n",
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root
