# SPDX-License-Identifier: GPL-2.0-only
"""A word for each result of a KTAP report."""

from __future__ import annotations

from lab.evidence.ktap import Document, Result, leaves
from lab.verdict.model import Part, Word


def parts_of(documents: tuple[Document, ...], output: str) -> tuple[Part, ...]:
    """Every case that the reports in this file tell of."""
    return tuple(_part(path, result, output) for path, result in leaves(documents))


def _part(path: str, result: Result, output: str) -> Part:
    word, reason = _word_of(result)
    worst = [_part(path, inner, output) for document in result.nested for inner in document.results]
    pointer = f"{output}:{result.line}"
    if word is Word.PASS and (hidden := next((c for c in worst if c.word is Word.FAIL), None)):
        return Part(path, Word.FAIL, f"says ok, but line {_line(hidden)} does not", pointer)
    if word is Word.PASS and (hidden := next((c for c in worst if c.word is Word.ERROR), None)):
        return Part(path, Word.ERROR, f"says ok, but line {_line(hidden)} is an error", pointer)
    if word is Word.PASS and result.nested and not any(c.word is Word.PASS for c in worst):
        why = next((c.reason for c in worst), None) or next((d.skipped for d in result.nested), None)
        return Part(path, Word.SKIP, why or "no reason given", pointer)
    return Part(path, word, reason, pointer)


def _line(part: Part) -> str:
    return part.pointer.rpartition(":")[2]


def _word_of(result: Result) -> tuple[Word, str]:
    said = result.reason or "no reason given"
    match result.directive, result.ok:
        case "SKIP", _:
            return Word.SKIP, said
        case "TIMEOUT" | "ERROR", _:
            return Word.ERROR, f"{result.directive}: {said}"
        case "XFAIL", _:
            return Word.SKIP, f"expected to fail: {said}"
        case "TODO", False:
            return Word.SKIP, f"to be done: {said}"
        case _, True:
            return Word.PASS, "ok"
    return Word.FAIL, "not ok"
