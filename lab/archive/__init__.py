"""Bundles on disk: judged once, read back, reported."""
