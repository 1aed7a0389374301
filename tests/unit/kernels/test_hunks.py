# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import difflib
import re

from hypothesis import given
from hypothesis import strategies as st

from lab.kernels.hunks import first_misfit, parse_diff

OLD = "".join(f"line {n}\n" for n in range(1, 61))
NEW = OLD.replace("line 10\n", "line ten\n").replace("line 50\n", "")


def diff(old: str, new: str, name: str = "a.c") -> str:
    lines = difflib.unified_diff(re.findall(r".*\n", old), re.findall(r".*\n", new), f"a/{name}", f"b/{name}")
    return f"diff --git a/{name} b/{name}\n" + "".join(lines)


def test_what_fits_has_no_misfit_also_when_it_moved() -> None:
    moved = "new\n" * 7 + OLD
    assert first_misfit(diff(OLD, NEW), {"a.c": OLD}.get) is None
    assert first_misfit(diff(OLD, NEW), {"a.c": moved}.get) is None


def test_the_first_hunk_that_is_not_there_is_told_with_both_texts() -> None:
    tree = ("new\n" * 3 + OLD).replace("line 49\n", "line forty-nine\n").replace("line 51\n", "line fifty-one\n")
    misfit = first_misfit(diff(OLD, NEW), {"a.c": tree}.get)
    assert misfit is not None
    assert (misfit.path, misfit.header, misfit.line) == ("a.c", "@@ -47,7 +47,6 @@", 50)
    assert [d for d in misfit.differences if d[0] in "-+"] == [
        "- line 49",
        "+ line forty-nine",
        "- line 51",
        "+ line fifty-one",
    ]
    assert "@@ -47,7" in str(misfit)


def test_a_file_that_is_missing_and_one_that_is_there_already() -> None:
    gone = first_misfit(diff(OLD, NEW), dict[str, str]().get)
    assert gone is not None
    assert gone.problem == "the tree has no such file"
    made = "diff --git a/n.c b/n.c\nnew file mode 100644\n--- /dev/null\n+++ b/n.c\n@@ -0,0 +1 @@\n+x\n"
    there = first_misfit(made, {"n.c": "x\n"}.get)
    assert there is not None
    assert "has it already" in there.problem
    assert first_misfit(made, dict[str, str]().get) is None


def test_lines_after_a_hunk_are_none_of_it() -> None:
    (file,) = parse_diff(diff(OLD, NEW) + "-- \n2.39.5\n\n_______\nlist mailing list\n")
    assert [len(h.wants) for h in file.hunks] == [7, 7]


@given(*[st.lists(st.text(alphabet="ab\f \u2028", max_size=3), max_size=20)] * 2)
def test_a_diff_fits_what_it_was_made_from(old: list[str], new: list[str]) -> None:
    before, after = ("".join(f"{line}\n" for line in lines) for lines in (old, new))
    assert first_misfit(diff(before, after), {"a.c": before}.get) is None
