"""A pair made ready: booted, restored, kept for the next run, blamed."""
