# SPDX-License-Identifier: GPL-2.0-only
"""EFFECT. Puts a run's captures on disk as a bundle, and reads bundles back."""
