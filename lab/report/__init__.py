# SPDX-License-Identifier: GPL-2.0-only
"""Reports: a Session in, text or bytes out. Nothing here reads a bundle, asks for the time or writes a file."""

from lab.report.model import RunResult, Session

__all__ = ["RunResult", "Session"]
