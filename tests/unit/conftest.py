# SPDX-License-Identifier: GPL-2.0-only
"""Hypothesis on a busy host: no deadline per example, and few enough examples that all unit tests end within 20 s."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("lab", deadline=None, max_examples=40)
settings.load_profile("lab")
