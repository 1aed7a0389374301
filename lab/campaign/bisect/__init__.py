# SPDX-License-Identifier: GPL-2.0-only
"""Which kernel, commit or patch broke a case: runs are chosen by what they tell, and flakes are reckoned with.

PURE: model, sought, decide, wording, mail. EFFECT: packages, commits, patches (histories), laboratory, ahead,
record, engine.
"""
