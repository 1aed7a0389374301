# SPDX-License-Identifier: GPL-2.0-only
from __future__ import annotations

from pathlib import Path

import pytest

from lab.kernels.fragments import merge
from lab.kernels.given import read_fragment
from lab.kernels.kconfig import Kconfig, conjuncts, evaluate, statements
from lab.kernels.reasons import explain, why_lost
from lab.kernels.recipes import images

FILES = {
    "Kconfig": """\
mainmenu "x"
source "mm/Kconfig"
source "arch/$(SRCARCH)/Kconfig"
menu "Network"
	depends on NET
config NET
	bool "Network"
	modules
	select INGRESS if VETH
	help
	  Says much.
	  if you say Y here

	  depends on nothing
config E1000E
	bool "Intel"
	depends on PCI && \\
		   (X86 || ARM) # why
endmenu
config INGRESS
	bool
config VETH
	bool "veth"
""",
    "mm/Kconfig": """\
if EXPERT
config HIDDEN
	bool "hidden" if !EASY
	default y
endif
config SIZE
	int "size" if EXPERT
	default 64 if BIG
	default 8
config BIG
	def_bool y
	depends on SIZE > 4
""",
    "arch/x86/Kconfig": 'config X86\n\tdef_bool y\nconfig PCI\n\tbool "PCI"\nconfig EXPERT\n\tbool "expert"\n',
}
KCONFIG = Kconfig(FILES.get)


def test_help_is_left_out_and_continued_lines_are_joined() -> None:
    found = list(statements(FILES["Kconfig"]))
    assert (4, 'menu "Network"') in found
    assert not any("say Y" in text or "nothing" in text for _, text in found)
    assert any(text.endswith("PCI && (X86 || ARM)") or "X86 || ARM" in text for _, text in found)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("A", "y"),
        ("!A", "n"),
        ("M && A", "m"),
        ("N || M", "m"),
        ("!(N || A) || M", "m"),
        ('S = "x" && C != 3', "y"),
        ("C > 8", "n"),
        ("A=n", "n"),
        ("$(cc-option,-fx) && A", "y"),
        ("", "y"),
    ],
)
def test_expressions(expression: str, value: str) -> None:
    have = {"CONFIG_A": "y", "CONFIG_M": "m", "CONFIG_S": '"x"', "CONFIG_C": "8"}
    assert evaluate(expression, have) == value


def test_the_parts_that_must_all_hold() -> None:
    assert conjuncts("A && (B || !C && D) && E = y") == ("A", "(B || !C && D)", "E = y")


def lost(name: str, wanted: str, **have: str) -> str:
    return why_lost(KCONFIG, name, wanted, {f"CONFIG_{k}": v for k, v in have.items()})


def test_why_an_option_is_lost() -> None:
    assert lost("CONFIG_E1000E", "y", X86="y") == (
        "depends on NET (NET=n) at Kconfig:15; depends on PCI (PCI=n) at Kconfig:15"
    )
    assert lost("CONFIG_HIDDEN", "y") == "depends on EXPERT (EXPERT=n) at mm/Kconfig:2"
    assert (
        lost("CONFIG_HIDDEN", "y", EXPERT="y", EASY="y") == "cannot be asked for here: its prompt needs !EASY (EASY=y)"
    )
    assert lost("CONFIG_INGRESS", "y", VETH="n") == (
        "cannot be asked for here: it has no prompt, and is selected only by NET"
    )
    assert lost("CONFIG_INGRESS", "n", INGRESS="y", NET="y", VETH="y") == "selected by NET at Kconfig:9 if VETH"
    assert lost("CONFIG_SIZE", "16", SIZE="8") == "its default is 8 at mm/Kconfig:9, and its prompt is hidden here"
    assert lost("CONFIG_E1000", "y") == "no Kconfig file of this base has it; close: E1000E"


def test_why_an_option_nobody_asked_for_has_its_value() -> None:
    assert explain(KCONFIG, "CONFIG_X86", {"CONFIG_X86": "y"}) == (
        "its default is y at arch/x86/Kconfig:2",
        "defined at arch/x86/Kconfig:1",
    )
    assert explain(KCONFIG, "CONFIG_VETH", {})[0] == "its dependencies are met, but no fragment asks for it"
    assert explain(KCONFIG, "CONFIG_BIG", {"CONFIG_SIZE": "2"})[0] == "depends on SIZE > 4 (SIZE=2) at mm/Kconfig:10"


def test_the_fragments_of_the_project_fit_together() -> None:
    guest, *overlays = (
        read_fragment(p) for p in sorted((images() / "config").glob("*.config"), key=lambda p: p.stem != "guest")
    )
    assert Path(guest.name).stem == "guest"
    for overlay in overlays:
        assert overlay.is_overlay
        merge([guest, overlay])
