# SPDX-License-Identifier: GPL-2.0-only
"""EFFECT. The only room that talks to guests: SSH commands, roles, traffic."""
