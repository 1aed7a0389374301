"""EFFECT. Builds the guests' read-only userland from the recipe in images/."""

from lab.guestimage.build import ensure_image, ensure_init

__all__ = ["ensure_image", "ensure_init"]
