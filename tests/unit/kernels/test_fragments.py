# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

import pytest

from lab.errors import BadInput
from lab.kernels.fragments import Fragment, lost, merge, parse, values, written

GUEST = Fragment("guest.config", '# why\nCONFIG_A=y\n\nCONFIG_N=8\nCONFIG_S="-lab"\n# CONFIG_B is not set\n')


def test_every_form_of_an_option_is_read() -> None:
    assert [(o.name, o.value, o.where) for o in parse(GUEST)] == [
        ("CONFIG_A", "y", "guest.config:2"),
        ("CONFIG_N", "8", "guest.config:4"),
        ("CONFIG_S", '"-lab"', "guest.config:5"),
        ("CONFIG_B", "n", "guest.config:6"),
    ]


def test_every_line_that_is_no_option_is_told() -> None:
    with pytest.raises(BadInput) as caught:
        parse(Fragment("f", "CONFIG_A=yes\nA=y\nCONFIG_B=y\nCONFIG_B=n\nCONFIG_C\n"))
    assert caught.value.problems == (
        "f:1: not an option: 'CONFIG_A=yes'.",
        "f:2: not an option: 'A=y'.",
        "f:4: CONFIG_B=n, but line 3 says y.",
        "f:5: not an option: 'CONFIG_C'.",
    )


def test_a_contradiction_names_both_files_unless_the_later_is_an_overlay() -> None:
    text = 'CONFIG_A=n\nCONFIG_S="-lab"\nCONFIG_C=y\n'
    with pytest.raises(BadInput) as caught:
        merge([GUEST, Fragment("mine.config", text)])
    assert caught.value.problems == ("mine.config:1 asks for CONFIG_A=n, guest.config:2 for y.",)
    merged = merge([GUEST, Fragment("o.config", "# overlay: mine\n" + text)])
    assert merged["CONFIG_A"].where == "o.config:2"
    assert written(merged).splitlines() == [
        "# CONFIG_A is not set",
        "CONFIG_N=8",
        'CONFIG_S="-lab"',
        "# CONFIG_B is not set",
        "CONFIG_C=y",
    ]


def test_what_did_not_survive_is_found_in_both_directions() -> None:
    have = values("CONFIG_A=m\nCONFIG_N=8\n# CONFIG_S is not set\nCONFIG_B=y\n")
    assert [o.name for o in lost(parse(GUEST), have)] == ["CONFIG_A", "CONFIG_S", "CONFIG_B"]
    assert lost(parse(GUEST), values('CONFIG_A=y\nCONFIG_N=8\nCONFIG_S="-lab"\n')) == ()
