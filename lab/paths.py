"""Where the lab keeps what it makes, and where its own recipes lie."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_root() -> Path:
    """Kernels, images and keys: made once, safe to delete. `LAB_CACHE` overrides it."""
    chosen = os.environ.get("LAB_CACHE")
    return Path(chosen).expanduser().resolve() if chosen else Path(platformdirs.user_cache_dir("lab"))


def results_root() -> Path:
    """Bundles of runs: `LAB_RESULTS`, else `results` in the current directory."""
    return Path(os.environ.get("LAB_RESULTS") or "results").expanduser().resolve()


def project_root() -> Path:
    """The checkout: `images/` and `playbooks/` lie here, beside the package."""
    return Path(__file__).resolve().parent.parent
