# SPDX-License-Identifier: GPL-2.0-only
"""PURE. Whether a run showed the failure that is looked for, or did not, or says nothing of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum

from lab.campaign.bisect.model import Seen, Sought, Told
from lab.stats.posterior import Tally
from lab.text.words import printable
from lab.verdict.model import EVERYWHERE, Word

SPLAT = "kernel-alive"
FRAMES = 3
"""Frames of a call trace that make two splats the same."""
TRACE_LINES = 120
GONE = "no-"
"""Before the name of a rule: looked for is that it says nothing any more."""
_FRAME = re.compile(rb"^(?:<[^>]*> )?(\?? ?)([A-Za-z_][\w.]{0,120})\+0x[0-9a-f]{1,8}/0x[0-9a-f]{1,8}")
_STAMP = re.compile(rb"^\s{0,12}(?:\[ {0,12}\d{1,9}\.\d{1,6}\])?(?:\[ {0,8}[TC]\d{1,9}\])?\s{0,12}")
_CALLS = re.compile(rb"[Cc]all [Tt]race:|Backtrace:")
_RIP = re.compile(rb"\bRIP: 0010:([A-Za-z_][\w.]{0,120})\+0x")
# How a kernel tells, not what went wrong: mm/kasan, lib/dump_stack.c, kernel/panic.c, arch/x86/kernel/{traps,dumpstack}
_TELLERS = re.compile(
    rb"^(?:__)?(?:dump_stack(?:_lvl)?|show_stack|show_regs|die(?:_addr|_body)?|panic|vpanic|warn(?:_slowpath.*)?"
    rb"|report_bug|handle_bug|exc_\w+|asm_exc_\w+|do_trap|do_error_trap|page_fault_oops|oops_end|print_report"
    rb"|print_address_description.*|kasan_\w+|__asan_\w+|asan_\w+|bad_page|nmi_panic)$"
)


class Mark(StrEnum):
    """What a run says of the sought failure; the letters of `lab bisect show`."""

    SHOWN = "x"
    ABSENT = "."
    OTHER = "o"
    NOTHING = "-"


def mark(seen: Seen, sought: Sought | None) -> Mark:
    """SHOWN and ABSENT are observations. OTHER is another failure: it is told, and steers nothing."""
    word = Word(seen.word)
    if word in (Word.MISS, Word.SKIP):
        return Mark.NOTHING
    if sought is None:
        return {Word.FAIL: Mark.OTHER, Word.ERROR: Mark.NOTHING}.get(word, Mark.ABSENT)
    if sought.gone:
        return _of_gone(seen, word, sought.rule)
    if not sought.rule:
        return _of_passing(seen, word)
    if word in (Word.PASS, Word.DONE):
        return Mark.ABSENT
    if any(_is_sought(told, sought) for told in _deciding(seen, word)):
        return Mark.SHOWN
    return Mark.OTHER if word is Word.FAIL else Mark.NOTHING


def tally(runs: Iterable[Seen], sought: Sought | None) -> Tally:
    """fail:runs of those that are observations."""
    marks = [mark(seen, sought) for seen in runs]
    shown = marks.count(Mark.SHOWN)
    return Tally(shown, shown + marks.count(Mark.ABSENT))


def supposed(sought: Sought, *, shown: bool) -> Seen:
    """A run that nobody has done, as it would be marked."""
    if not sought.rule:
        return Seen("", "", (Word.PASS if shown else Word.FAIL).value)
    told = (Told(sought.rule, sought.word, sought.message, sought.frames),)
    if sought.gone:
        return Seen("", "", Word.PASS.value) if shown else Seen("", "", sought.word, told)
    fault = sought.word == Word.FAIL and sought.rule in (SPLAT, EVERYWHERE)
    return Seen("", "", sought.word, told, fault) if shown else Seen("", "", Word.PASS.value)


def shown_by(runs: Sequence[Seen]) -> Sought | None:
    """What most of the runs that FAIL show first; of a splat with its frames. None where none fails."""
    failed = [told for seen in runs if seen.word == Word.FAIL and (told := _deciding(seen, Word.FAIL))]
    if not failed:
        return None
    rules = Counter(told[0].rule for told in failed)
    rule = rules.most_common(1)[0][0]
    found = [one for told in failed for one in told[:1] if one.rule == rule]
    frames = Counter(one.frames for one in found).most_common(1)[0][0]
    first = next(one for one in found if one.frames == frames)
    return Sought(rule, Word.FAIL.value, frames, first.message)


def asked_for(text: str, runs: Sequence[Seen]) -> Sought | None:
    """What the user named: PASS, that a rule is silent, or a rule, which may be one that says ERROR. None until the bad
    end has shown that."""
    if text == Word.PASS:
        return Sought("", Word.PASS.value)
    if text.startswith(GONE):
        rule = text.removeprefix(GONE)
        return Sought(rule, Word.ERROR.value, gone=True)
    for word in (Word.FAIL, Word.ERROR):
        of_word = [seen for seen in runs if seen.word == word]
        found = [told for seen in of_word for told in _deciding(seen, word) if told.rule == text]
        if found:
            return Sought(text, word.value, found[0].frames, found[0].message)
    return None


def frames_of(console: bytes, line: int) -> tuple[str, ...]:
    """The top frames of the call trace that follows a line (from 1) of a console: names of functions, no offsets."""
    lines = console.splitlines()[line - 1 : line - 1 + TRACE_LINES]
    found: list[str] = []
    calls = False
    for text in lines:
        bare = _STAMP.sub(b"", text)
        if not calls and not found and (rip := _RIP.search(bare)):
            found.append(rip[1].decode("ascii", "replace"))
        calls = calls or _CALLS.search(bare) is not None
        frame = _FRAME.match(bare) if calls else None
        if frame and not frame[1].strip() and not _TELLERS.match(frame[2]):
            name = frame[2].decode("ascii", "replace")
            found += [name] if name not in found else []
        if len(found) == FRAMES or b"---[ end" in bare:
            break
    return tuple(printable(name) for name in found[:FRAMES])


def _of_passing(seen: Seen, word: Word) -> Mark:
    if word in (Word.PASS, Word.DONE):
        return Mark.SHOWN
    if word is Word.FAIL:
        return Mark.OTHER if seen.fault else Mark.ABSENT
    return Mark.NOTHING


def _of_gone(seen: Seen, word: Word, rule: str) -> Mark:
    if word in (Word.FAIL, Word.ERROR) and any(told.rule == rule for told in seen.told):
        return Mark.ABSENT
    if word is Word.ERROR:
        return Mark.NOTHING
    return Mark.OTHER if seen.fault else Mark.SHOWN


def _deciding(seen: Seen, word: Word) -> list[Told]:
    """The findings that gave a run its word. Where a kernel faulted, what else failed may be for that reason alone;
    where it did not, and says so all the same, it died of what the case is about."""
    found = [told for told in seen.told if told.word == word]
    if word is not Word.FAIL:
        return found
    return [told for told in found if (told.rule in (SPLAT, EVERYWHERE)) == seen.fault]


def _is_sought(told: Told, sought: Sought) -> bool:
    alike = _signature(told.frames, told.message) == _signature(sought.frames, sought.message)
    return (told.rule, told.word) == (sought.rule, sought.word) and (told.rule != SPLAT or alike)


def _signature(frames: tuple[str, ...], message: str) -> str:
    """Where a kernel faulted; of a report without a trace its words, without numbers and the guest it was seen on."""
    return frames[0] if frames else re.sub(r"\d+|the (?:receiver|sender)'s ", "", message)
