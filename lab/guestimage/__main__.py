# SPDX-License-Identifier: GPL-2.0-only
"""`python -m lab.guestimage [base|programs|layers|image]`: make the guest image or a part of it, or the layers.

Prints where it lies; progress goes to standard error, which stays empty when there was nothing to do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.contracts import Progress
from lab.errors import BadInput, LabError
from lab.guestimage.base import ensure_base
from lab.guestimage.build import ensure_image, the_recipe
from lab.guestimage.layer import all_layers
from lab.guestimage.programs import ensure_programs

PARTS: dict[str, Callable[[Progress], Sequence[Path]]] = {
    "base": lambda progress: [ensure_base(the_recipe(), progress)],
    "programs": lambda progress: [ensure_programs(progress)],
    "layers": lambda progress: [layer.path for layer in all_layers(progress)],
    "image": lambda progress: [ensure_image(progress).path],
}


def main(words: list[str]) -> int:
    part = words[0] if words else "image"
    try:
        if part not in PARTS or len(words) > 1:
            raise BadInput([f"{' '.join(words)!r}: choose one of {', '.join(PARTS)}."])
        for made in PARTS[part](lambda text: print(text, file=sys.stderr, flush=True)):
            print(made)
    except LabError as exc:
        print(exc, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
