"""`python -m lab.guestimage`: build the guest image; prints where it lies, and progress on standard error."""

from __future__ import annotations

import sys

from lab.errors import LabError
from lab.guestimage.build import ensure_image


def main() -> int:
    try:
        image = ensure_image(lambda text: print(text, file=sys.stderr, flush=True))
    except LabError as exc:
        print(exc, file=sys.stderr)
        return 2
    print(image.path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
