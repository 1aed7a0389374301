"""PURE. Rules turn evidence into findings; one function turns findings into a verdict."""
