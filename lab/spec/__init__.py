"""PURE. What the user wrote, checked; every problem of an input is listed at once."""
