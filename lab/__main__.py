# SPDX-License-Identifier: GPL-2.0-only
"""The `lab` script. Until it has imported its commands there is nothing to tidy up: Ctrl-C ends it without a word."""

from __future__ import annotations

import atexit
import gc
import signal
import sys


def main() -> None:
    """Entry point."""
    # An interpreter that ends looks for garbage several times: 0.15 s with all that we import, and for nothing.
    atexit.register(gc.freeze)
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        from lab.cli import main as lab
        from lab.cli.exits import INTERRUPTED
        from lab.host.interrupt import SIGNALS
    except Exception:  # noqa: BLE001 - Python would exit with 1, which is a verdict; docs/exits.md has these two
        import traceback

        traceback.print_exc()
        sys.exit(125 if "--for-bisect" in sys.argv else 3)

    signal.signal(signal.SIGINT, before)
    try:
        lab()
    except KeyboardInterrupt:  # before click is there to tell it, or after
        sys.exit(INTERRUPTED)
    finally:  # nothing is left to end: one more Ctrl-C must change neither the exit status nor what was said
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    main()
