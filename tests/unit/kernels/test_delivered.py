# SPDX-License-Identifier: GPL-2.0-only
"""Series as others deliver them, beside what git makes of the same: byte for byte the same tree, or one error."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pytest

from lab.errors import BadInput
from lab.kernels.delivered import from_mbox, read_series
from tests.unit.kernels.sourcetree import git
from tests.unit.kernels.trees import CORPUS, Trees

INPUTS = sorted(p for p in CORPUS.iterdir() if p.name != "config")

# What is not the three patches: one of them, or the words of the refusal.
ONE = ("one-of-three.patch", "reply-subject.patch", "mail-0010-charset-none.mbox", "p0.diff")
REFUSED = {
    "colour.diff": ("with colours", "--no-color"),
    "context.diff": ("context diff", "diff -u"),
    "fuzz.diff": ("- 77", "+ 7"),
    "git-show.txt": ("- five", "+ 5"),
    "only-diffstat.txt": ("statistics", "git format-patch"),
    "orig-prefix-misfit.diff": ("net/core.c: @@ -4,3 +4,3 @@", "- nothere"),
    "quilt-two-files-second-misfits.patch": ("mm/memcg.c: @@ -4,3 +4,3 @@", "- nothere"),
    "range.bundle": ("git bundle", "--base DIRECTORY#BRANCH"),
    "word.diff": ("diff of words", "without --word-diff"),
}


@pytest.mark.parametrize("path", INPUTS, ids=lambda p: p.name)
def test_what_is_accepted_gives_the_tree_of_git_am_and_what_is_refused_names_the_cure(path: Path, trees: Trees) -> None:
    if path.name in REFUSED:
        with pytest.raises(BadInput) as caught:
            trees.ours(read_series(path))
        assert len(caught.value.problems) == 1
        assert path.name in str(caught.value)
        assert [words for words in REFUSED[path.name] if words not in str(caught.value)] == []
        return
    series = read_series(path)
    expected = trees.am(trees.patches[0] if path.name in ONE else b"\n".join(trees.patches))
    assert trees.ours(series) == expected != ""
    assert trees.again(series) in (expected, "") or path.name == "p0.diff"


def test_where_git_am_takes_the_file_as_it_is_we_make_the_same_of_it(trees: Trees) -> None:
    """But for what it applies because it cannot tell a series from what lies beside it."""
    beside = {"cover-with-diff.mbox", "stray-patch-in-thread.mbox"}
    same = []
    for path in INPUTS:
        if path.is_file() and path.name not in beside and (theirs := trees.am(path.read_bytes())):
            assert trees.ours(read_series(path)) == theirs, path.name
            same.append(path.name)
    assert len(same) > 7


# ---- more of the same kinds, each made from the three patches ------------------------------------------------------


def subjects(parts: tuple[bytes, ...], *prefixes: str) -> list[bytes]:
    """The patches with other words before their titles."""
    return [
        re.sub(rb"Subject: \[PATCH \d/3\] ", b"Subject: " + prefix.encode() + b" ", part, count=1)
        for part, prefix in zip(parts, prefixes, strict=True)
    ]


def numbered(form: str) -> Callable[[tuple[bytes, ...]], bytes]:
    """In reversed order: only who reads the numbers has them in order."""
    return lambda parts: b"\n".join(reversed(subjects(parts, *(form.replace("N", str(n)) for n in (1, 2, 3)))))


PREFIXES = [
    "[PATCH N/3]", "[PATCH N/3][next]", "[PATCH N/3] [media]", "[PATCH net-next v3 0N/03]", "[net-next v3 0N/03]",
    "[PATCH net-next,mm N/3]", "[PATCH net-next mm-unstable v2 N/3]", "[PATCH 6.1/6.6 N/3]", "[PATCH 6.12/7.3 v2 N/3]",
    "[PATCH v2,N/3]", "[PATCHv3 N/3]", "[PATCH V4 N/3]", "[RFC][PATCH N/3]", "[RFC PATCH v1 N/3]", "[N/3][PATCH]",
    "[PATCH -next N/3]", "[PATCH N of 3]", "[PATCH v5.4 N/3]", "[patch N/3]", "[PATCH RESEND v2 N/3]", "[N/3]",
    "[PATCH 2026/11/27 N/3]", "[EXT] [PATCH N/3]", "[PATCH N/3 net v7]", "[PATCH net:N/3]", "[PATCH v2.1 N/3]",
]  # fmt: skip


@pytest.mark.parametrize("form", PREFIXES)
def test_numbers_are_read_in_any_prefix(form: str, trees: Trees) -> None:
    series = from_mbox(numbered(form)(trees.patches), "m")
    assert [p.subject for p in series.patches] == ["net: one", "mm: two", "net: three"]
    assert trees.ours(series) == trees.am(b"\n".join(trees.patches))


def reply(subject: str, body: bytes, *, answers: bool = True, sender: str = "R <r@example.org>") -> bytes:
    head = f"From mboxrd@z Thu Jan  1 00:00:00 1970\nFrom: {sender}\nSubject: {subject}\n"
    head += "In-Reply-To: <2@example.org>\n" if answers else ""
    return head.encode() + b"\n" + body + b"\n"


OTHER = b"Like this?\n\ndiff --git a/net/core.c b/net/core.c\n--- a/net/core.c\n+++ b/net/core.c\n"
OTHER += b"@@ -19,6 +19,7 @@\n 19\n 20\n 21\n+reviewer\n 22\n 23\n 24\n-- \n2.47.0\n"

BESIDE = {
    "cover": reply("[PATCH 0/3] words", OTHER, answers=False),
    "cover, version": reply("[PATCH v1 00/03] words", OTHER),
    "re": reply("Re: [PATCH 1/3] net: one", OTHER),
    "german": reply("AW: [PATCH 1/3] net: one", OTHER),
    "outlook": reply("RE: [EXT] Re: [PATCH 2/3] mm: two", OTHER),
    "gateway": reply("[External] Re: [PATCH 2/3] mm: two", OTHER),
    "chinese": reply("回复: [PATCH 2/3] mm: two", OTHER),
    "polish": reply("Odp: [PATCH 2/3] mm: two", OTHER),
    "counted": reply("Re[2]: [PATCH 2/3] mm: two", OTHER),
    "forwarded": reply("Fwd: [PATCH] something else", OTHER),
    "stray": reply("[PATCH] net: what I had in mind", OTHER),
    "untagged": reply("net: what I had in mind", OTHER),
    "bot": reply("[tip: net/core] net: one", OTHER),
    "pull": reply("[GIT PULL] net for 7.4", OTHER),
    "quoted": reply("[PATCH] ask", b"> diff --git a/x b/x\n> @@ -1 +1 @@\nwhy?\n"),
}


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("what", BESIDE)
def test_what_lies_beside_a_series_is_never_applied_and_is_told(what: str, where: str, trees: Trees) -> None:
    parts = [BESIDE[what], *trees.patches] if where == "before" else [*trees.patches, BESIDE[what]]
    series = from_mbox(b"\n".join(parts), "m")
    assert trees.ours(series) == trees.am(b"\n".join(trees.patches))
    assert len(series.left_out) == (0 if what == "quoted" else 1)


DOUBTFUL = {
    "no answer": reply("[PATCH] net: put here by hand", OTHER, answers=False),
    "a later one": reply("[PATCH v2] net: instead of all that", OTHER),
    "the author's own": reply("[PATCH] net: fixup", OTHER, sender="a <a@b>"),
    "other series": reply("[PATCH 1/1] net: mine", OTHER),
    "other series, later": reply("[PATCH v2 1/1] net: mine", OTHER),
    "one too many": reply("[PATCH 4/3] net: and this", OTHER),
    "same number": reply("[PATCH 2/3] net: and this", OTHER),
}


@pytest.mark.parametrize("what", DOUBTFUL)
def test_what_may_be_part_of_a_series_is_refused_and_named(what: str, trees: Trees) -> None:
    for parts in ([DOUBTFUL[what], *trees.patches], [*trees.patches, DOUBTFUL[what]]):
        with pytest.raises(BadInput) as caught:
            from_mbox(b"\n".join(parts), "m.mbox")
        assert "r@example.org" in str(caught.value) or "a@b" in str(caught.value)
        assert "m.mbox" in str(caught.value)
        assert "b4 am" in caught.value.hint


def as_mail(parts: tuple[bytes, ...], make: Callable[[str], EmailMessage]) -> bytes:
    """The patches as another mail program sends them."""
    out = []
    for n, part in enumerate(parts, start=1):
        head, _, body = part.decode().partition("\n\n")
        mail = make(body)
        mail["From"], mail["Subject"] = "A <a@b>", re.findall(r"Subject: (.*)", head)[0]
        out.append(b"From x@y Thu Nov 26 23:20:37 2026\n" + mail.as_bytes() + b"\n")
        assert n
    return b"".join(out)


def encoded(cte: str, charset: str = "utf-8") -> Callable[[str], EmailMessage]:
    def make(body: str) -> EmailMessage:
        mail = EmailMessage()
        mail.set_content(body, cte=cte, charset=charset)
        return mail

    return make


def attached(kind: str) -> Callable[[str], EmailMessage]:
    """The diff as an attachment below some words."""

    def make(body: str) -> EmailMessage:
        mail = EmailMessage()
        words, _, diff = body.partition("\ndiff --git ")
        mail.set_content(words + "\n")
        mail.add_attachment(f"diff --git {diff}".encode(), "text", kind, filename="0001.patch", cte="base64")
        return mail

    return make


def with_html(body: str) -> EmailMessage:
    mail = EmailMessage()
    mail.set_content(body)
    mail.add_alternative(f"<html><pre>\n{body}</pre></html>", subtype="html")
    return mail


def signed(body: str) -> EmailMessage:
    mail = encoded("7bit")(body)
    mail.make_mixed()
    mail.add_attachment(b"-----BEGIN PGP SIGNATURE-----\nabc\n", "application", "pgp-signature", cte="base64")
    return mail


def flowed(body: str) -> EmailMessage:
    stuffed = re.sub(r"^(?= |>|From )", " ", body, flags=re.MULTILINE)
    mail = encoded("7bit")(stuffed)
    mail.set_param("format", "flowed")
    return mail


MAILS: dict[str, Callable[[str], EmailMessage]] = {
    "base64": encoded("base64"),
    "quoted-printable": encoded("quoted-printable"),
    "8bit latin1": encoded("8bit", "latin-1"),
    "attached x-patch": attached("x-patch"),
    "attached plain": attached("plain"),
    "html beside": with_html,
    "signed": signed,
    "flowed": flowed,
}


@pytest.mark.parametrize("how", MAILS)
def test_every_way_to_send_a_patch_gives_the_same_tree(how: str, trees: Trees) -> None:
    data = as_mail(trees.patches, MAILS[how])
    expected = trees.am(b"\n".join(trees.patches))
    assert trees.ours(from_mbox(data, "m")) == expected
    if how != "html beside":
        assert trees.am(data) == expected


WRAPPED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "bzip2": bz2.compress,
    "two gzips": lambda d: gzip.compress(d[:900]) + gzip.compress(d[900:]),
    "bom": lambda d: b"\xef\xbb\xbf" + d,
    "bom in gzip": lambda d: gzip.compress(b"\xef\xbb\xbf" + d),
    "crlf": lambda d: d.replace(b"\n", b"\r\n"),
    "empty lines above": lambda d: b"\n\n" + d,
    "words above": lambda d: b"X-Status: read, by hand\nnot a header\n" + d,
    "no From lines' hashes": lambda d: re.sub(rb"From [0-9a-f]{40}", b"From dev@example.org ", d),
    "odd charset": lambda d: d.replace(
        b"\n\n", b"\nContent-Type: text/plain; charset=x-unknown\nContent-Transfer-Encoding: 8bit\n\n", 1
    ),
    "no end of line": lambda d: d.rstrip(b"\n"),
    "bytes of latin1 in the words": lambda d: d.replace(b"Why:", b"W\xfcrde:"),
}


@pytest.mark.parametrize("how", WRAPPED)
def test_how_the_file_was_kept_changes_nothing(how: str, trees: Trees) -> None:
    plain = b"\n".join(trees.patches)
    assert trees.ours(from_mbox(WRAPPED[how](plain), "m")) == trees.am(plain)


def diffs(trees: Trees, *options: str) -> bytes:
    return git(trees.root, "diff", *options, trees.base, trees.tip).encode()


BARE = {
    "plain": (),
    "no prefix": ("--no-prefix",),
    "mnemonic": ("--src-prefix=i/", "--dst-prefix=w/"),
    "long context": ("-U25",),
    "no context": ("-U0",),
    "whole names": ("--full-index", "--stat", "-p"),
}


@pytest.mark.parametrize("how", BARE)
def test_a_bare_diff_gives_the_tree_of_git_apply(how: str, trees: Trees) -> None:
    data = diffs(trees, *BARE[how])
    level = ("-p0",) if how == "no prefix" else ()
    unidiff = ("--unidiff-zero",) if how == "no context" else ()
    theirs = trees.apply(data, *level)
    if not theirs:
        assert trees.apply(data, *level, *unidiff)
        with pytest.raises(BadInput):
            trees.ours(from_mbox(data, "d"))
        return
    for text in (data, data.replace(b"\n", b"\r\n"), gzip.compress(data), b"Some words.\n\n" + data):
        assert trees.ours(from_mbox(text, "d")) == theirs


@pytest.mark.parametrize("options", [(), ("--reverse",), ("--stat",), ("--format=fuller",), ("--date=iso", "-M")])
def test_a_log_with_patches_is_read_in_either_order(options: tuple[str, ...], trees: Trees) -> None:
    data = git(trees.root, "log", "-p", *options, f"{trees.base}..{trees.tip}").encode()
    series = from_mbox(data, "log")
    assert trees.ours(series) == trees.am(b"\n".join(trees.patches))
    assert {p.subject for p in series.patches} == {"net: one", "mm: two", "net: three"}


# ---- directories and quilt -----------------------------------------------------------------------------------------


def test_a_directory_is_taken_without_its_cover_and_its_older_versions(trees: Trees, tmp_path: Path) -> None:
    one, two, three = trees.patches
    v2 = subjects((one, two, three), "[PATCH v2 1/3]", "[PATCH v2 2/3]", "[PATCH v2 3/3]")
    (tmp_path / "0000-cover-letter.patch").write_bytes(BESIDE["cover"])
    for n, part in enumerate(v2, start=1):
        (tmp_path / f"v2-{n}.patch").write_bytes(part)
        (tmp_path / f"v1-{n}.patch.gz").write_bytes(gzip.compress(trees.patches[n - 1].replace(b"+V", b"+W")))
    series = read_series(tmp_path)
    assert trees.ours(series) == trees.am(b"\n".join(trees.patches))
    assert len(series.left_out) == 4


def test_saved_mails_and_a_maildir_are_a_thread(trees: Trees, tmp_path: Path) -> None:
    mails = [*trees.patches, BESIDE["re"], BESIDE["stray"]]
    (tmp_path / "box" / "cur").mkdir(parents=True)
    (tmp_path / "box" / "new").mkdir()
    (tmp_path / "eml").mkdir()
    for n, part in enumerate(reversed(mails)):
        (tmp_path / "box" / ("cur", "new")[n % 2] / f"{n}:2,S").write_bytes(part)
        (tmp_path / "eml" / f"{n}.eml").write_bytes(part)
    for folder in ("box", "eml"):
        assert trees.ours(read_series(tmp_path / folder)) == trees.am(b"\n".join(trees.patches))


def test_quilt_gives_order_options_and_what_was_dropped(trees: Trees, tmp_path: Path) -> None:
    one, two, three = trees.patches
    (tmp_path / "patches" / "net").mkdir(parents=True)
    (tmp_path / "patches" / "net" / "z.patch").write_bytes(one)
    (tmp_path / "patches" / "a.diff.gz").write_bytes(
        gzip.compress(re.sub(rb" [ab]/", b" ", two[two.index(b"diff ") :]))
    )
    (tmp_path / "patches" / "m.patch").write_bytes(three)
    (tmp_path / "patches" / "back").write_bytes(three)
    (tmp_path / "patches" / "no.patch").write_bytes(OTHER)
    listed = tmp_path / "patches" / "series"
    listed.write_text(
        "# order\n\nnet/z.patch -p1\r\na.diff.gz -p0 # as it came\n#no.patch\nm.patch -pab\nback -R\nm.patch\n"
    )
    expected = trees.am(b"\n".join(trees.patches))
    for path in (tmp_path, listed.parent, listed):
        assert trees.ours(read_series(path)) == expected
    assert [p.options for p in read_series(listed).patches] == [(), ("-p0",), (), ("-R",), ()]


def test_every_line_of_quilt_that_is_wrong_is_told(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("words\n")
    (tmp_path / "series").write_text("a.patch\nb.patch -x\n../c.patch\n+arm64 d.patch\n")
    with pytest.raises(BadInput) as caught:
        read_series(tmp_path)
    assert [p.partition("series:")[2][:2] for p in caught.value.problems] == ["2:", "3:", "4:"]
    (tmp_path / "series").write_text("a.patch\nwords\n")
    with pytest.raises(BadInput) as caught:
        read_series(tmp_path)
    assert ["a.patch: there is no such file" in caught.value.problems[0], len(caught.value.problems)] == [True, 2]
    (tmp_path / "series").write_text("# nothing\n")
    with pytest.raises(BadInput, match="names no patch"):
        read_series(tmp_path)
