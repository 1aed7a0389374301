"""EFFECT. Builds the guests' read-only userland from the recipe in images/."""
