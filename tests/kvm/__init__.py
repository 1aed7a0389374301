# SPDX-License-Identifier: GPL-2.0-only
"""KVM by nesting: the lab in a first-level guest whose emulated SVM gives it a working /dev/kvm.

`make kvm`; see docs/kvm.md.
"""
