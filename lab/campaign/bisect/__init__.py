# SPDX-License-Identifier: GPL-2.0-only
"""Which kernel, commit or patch broke a case: runs are chosen by what they tell, and flakes are reckoned with.

PURE: model, sought, decide, costs, wording, mail. EFFECT: packages, commits, patches (histories), kernels, prices,
runs, laboratory, ahead, record, engine.
"""
