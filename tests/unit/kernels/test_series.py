# SPDX-License-Identifier: GPL-2.0-only
"""Mails as lists deliver them."""

from __future__ import annotations

import base64
import quopri

import pytest

from lab.errors import BadInput
from lab.kernels.delivered import from_files, from_mbox
from lab.kernels.series import Patch, Series, kept_in, mbox

DIFF = """\
diff --git a/mm/memcontrol.c b/mm/memcontrol.c
index 1111111..2222222 100644
--- a/mm/memcontrol.c
+++ b/mm/memcontrol.c
@@ -1,3 +1,4 @@
 int a;
+int größe;
 int b;
 int c;
"""
REST = "---\n mm/memcontrol.c | 1 +\n 1 file changed, 1 insertion(+)\n\n" + DIFF + "-- \n2.39.5\n"


def mail(subject: str, body: str, *, sender: str = "Arjun <a@example.org>", encoding: str = "8bit") -> bytes:
    """One message of an mbox."""
    data = body.encode()
    if encoding == "base64":
        data = base64.encodebytes(data.replace(b"\n", b"\r\n"))
    if encoding == "quoted-printable":
        data = quopri.encodestring(data)
    head = f"From mboxrd@z Thu Jan  1 00:00:00 1970\nFrom: {sender}\nSubject: {subject}\n"
    head += f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {encoding}\n\n"
    return head.encode() + data + b"\n"


def subjects(series: Series) -> list[str]:
    return [p.subject for p in series.patches]


@pytest.mark.parametrize("encoding", ["8bit", "base64", "quoted-printable"])
def test_every_transfer_encoding_gives_the_same_patch(encoding: str) -> None:
    (patch,) = from_mbox(mail("[PATCH] mm: x", f"Why.\n\nSigned-off-by: A\n{REST}", encoding=encoding), "m").patches
    assert patch.diff == DIFF + "-- \n2.39.5\n"
    assert (patch.subject, patch.message) == ("mm: x", "Why.\n\nSigned-off-by: A\n")


def test_a_thread_gives_its_patches_in_order_without_cover_and_replies() -> None:
    thread = (
        mail("[PATCH v3 net-next 0/2] a series", "It does things.\n")
        + mail("[PATCH v3 net-next 2/2] mm: second", REST)
        + mail("Re: [PATCH v3 net-next 2/2] mm: second", "> diff --git a/x b/x\nWhat about\n" + DIFF)
        + mail("[PATCH v3 net-next 1/2] mm: first", REST)
    )
    series = from_mbox(thread, "m")
    assert subjects(series) == ["mm: first", "mm: second"]
    assert [p.source for p in series.patches] == ["m, message 4", "m, message 2"]


def test_patches_put_together_without_an_empty_line_between_them_are_apart() -> None:
    """What `cat *.patch` makes of files that end with their last hunk."""
    one, two = (mail(f"[PATCH] mm: {name}", f"Why.\n{DIFF}").rstrip(b"\n") + b"\n" for name in ("one", "two"))
    assert subjects(from_mbox(one + two, "m")) == ["mm: one", "mm: two"]


def test_a_line_of_a_message_that_only_begins_like_a_mail_stays_in_it() -> None:
    (patch,) = from_mbox(mail("[PATCH] mm: x", f"It is\nFrom an idea of March 2021\n\n{REST}"), "m").patches
    assert "From an idea of March 2021" in patch.message


def test_the_newest_version_of_a_thread_is_taken() -> None:
    both = mail("[PATCH 1/1] mm: old", REST) + mail("[PATCH v2 1/1] mm: new", REST)
    assert subjects(from_mbox(both, "m")) == ["mm: new"]


def test_a_patch_that_is_missing_or_twice_there_is_told() -> None:
    other = REST.replace("größe", "grösse")
    some = mail("[PATCH 1/3] a", REST) + mail("[PATCH 3/3] c", REST) + mail("[PATCH 3/3] c again", other)
    with pytest.raises(BadInput) as caught:
        from_mbox(some, "m.mbox")
    assert caught.value.problems == (
        "m.mbox: patch 2/3 is missing.",
        "m.mbox: patch 3/3 is there 2 times: m.mbox, message 2 ('c' from a@example.org), "
        "m.mbox, message 3 ('c again' from a@example.org).",
    )


def test_headers_in_utf8_and_a_sender_in_the_body() -> None:
    subject = "=?UTF-8?q?=5BPATCH=5D_mm=3A_Gr=C3=B6=C3=9Fe_of_a_very_long_subject_that_was?=\n =?UTF-8?q?_folded?="
    (patch,) = from_mbox(mail(subject, "From: Jürgen <j@example.org>\n\nWhy.\n" + REST), "m").patches
    assert patch.subject == "mm: Größe of a very long subject that was folded"
    assert (patch.author, patch.message) == ("Jürgen <j@example.org>", "Why.\n")


def test_a_from_in_a_message_is_no_new_mail() -> None:
    (patch,) = from_mbox(mail("[PATCH] mm: x", ">From here on\nFrom there\n" + REST), "m").patches
    assert patch.message == "From here on\nFrom there\n"


def test_a_bare_diff_is_a_patch() -> None:
    (patch,) = from_files([("0001-x.patch", DIFF.encode())]).patches
    assert (patch.diff, patch.subject) == (DIFF, "(0001-x.patch)")


def test_files_are_taken_in_the_order_of_their_names() -> None:
    files = [("0002-b.patch", mail("[PATCH 2/9] b", REST)), ("0001-a.patch", mail("[PATCH 1/9] a", REST))]
    assert subjects(from_files(files)) == ["a", "b"]


def test_what_holds_no_patch_is_refused() -> None:
    with pytest.raises(BadInput, match="m: it holds no patch"):
        from_mbox(mail("[PATCH 0/1] nothing", "words\n"), "m")
    with pytest.raises(BadInput, match=r"0001-x\.patch: it holds no patch"):
        from_files([("0001-x.patch", b"words\n"), ("0002-y.patch", DIFF.encode())])


def test_a_series_survives_being_written_and_read() -> None:
    patches = (
        Patch("mm: Größe", "Jürgen <j@example.org>", "From here on.\n\nDefect: x\n", DIFF, "a"),
        Patch("b", "A <a@b>", "", DIFF, "b"),
    )
    again = kept_in(mbox(Series(patches)), "m")
    assert from_mbox(mbox(Series(patches)), "m").key == again.key
    assert again.key == Series(patches).key
    assert again.patches[0].author == "Jürgen <j@example.org>"
    assert Series().key == ""


def test_another_word_in_a_patch_makes_another_key() -> None:
    one = from_mbox(mail("[PATCH] mm: x", REST), "m")
    assert from_mbox(mail("[PATCH] mm: x", REST.replace("int a", "int z")), "m").key != one.key
    assert from_mbox(mail("[PATCH v4 1/1] mm: x", REST), "another").key == one.key


def test_trailers_are_read_folded_or_not() -> None:
    patch = Patch("s", "a", "Words: in the text\n\nDefect: the last page\n  is skipped\nCaught-by: hold\n", "", "")
    assert (patch.trailer("Defect"), patch.trailer("Caught-by")) == ("the last page is skipped", "hold")
    assert patch.trailer("Nic") == ""
