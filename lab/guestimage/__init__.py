# SPDX-License-Identifier: GPL-2.0-only
"""EFFECT. Builds the guests' read-only userland from the recipe in images/."""

from lab.guestimage.build import current_image, ensure_image, ensure_init
from lab.guestimage.layer import ensure_layer

__all__ = ["current_image", "ensure_image", "ensure_init", "ensure_layer"]
