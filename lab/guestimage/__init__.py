# SPDX-License-Identifier: GPL-2.0-only
"""EFFECT. Builds the guests' read-only userland from the recipe in images/."""

from lab.guestimage.build import current_image, ensure_image, ensure_init

__all__ = ["current_image", "ensure_image", "ensure_init"]
