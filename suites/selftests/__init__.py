# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's own tests, tools/testing/selftests: does a kernel pass them in the lab's guests?"""
