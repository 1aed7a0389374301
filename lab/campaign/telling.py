# SPDX-License-Identifier: GPL-2.0-only
"""What a night tells: what changed is written down, noted as told in the same step, and handed over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lab.archive.index import Index, use_index
from lab.campaign import culprits, letters
from lab.campaign.diary import Book, Post
from lab.campaign.tonight import Tonight
from lab.campaign.tracks import View, issues_met, turned
from lab.contracts import BootableKernel
from lab.errors import BadInput, LabError
from lab.host.post import send
from lab.host.records import write_whole
from lab.spec.night import Mail, Target


@dataclass(frozen=True)
class Teller:
    """Tells of targets and searches, by mails that wait on the disk until they are handed over."""

    tonight: Tonight

    def tell(self, target: Target, kernel: BootableKernel, view: View, wanted: Sequence[str]) -> None:
        """Write what changed, and then, in one step, that it is told."""
        tonight = self.tonight
        asked, book = tonight.asked, tonight.book(target)
        report = tonight.folder / f"report-{target.name}.md"

        def ask(index: Index) -> tuple[letters.Written, Book]:
            after, notes = issues_met(index, view.runs, [seen.change for seen in view.seen.values()], book)
            notes += [f"{track} gives a verdict again" for track, seen in view.seen.items() if seen.back]
            notes += [f"{track} is not run any more" for track in book.tracks if track not in wanted]
            notes += [f"{target.name} can be tested again"] if book.broken else []
            finder = culprits.bisecting(asked.path.parent, target)
            letter = letters.letter_of(index, asked.root, target.name, view, notes, finder, str(report))
            letter = replace(letter, reported_by=self._mail.reported_by)
            return letters.written(letter, view), turned(view, after, wanted)

        written, after = use_index(asked.root, ask)
        posts = self._posted(target.name, written)
        words = letters.words_of(kernel.name, view, written.letter)
        write_whole(report, written.table.encode())
        diary = tonight.diary.told(target.name, after, words, posts, worse=written.worse)
        tonight.keep(diary.searching(self._wanted(written)))
        tonight.log(f"{target.name}: {words}")

    def cannot(self, target: Target, exc: LabError) -> None:
        """A target that cannot be had. A series that does not apply is told once; trouble of this host is no news."""
        tonight, why = self.tonight, str(exc)
        book = tonight.book(target)
        if not isinstance(exc, BadInput) or book.broken == why:
            tonight.passed_over(target, f"not tested: {why.splitlines()[0]}", failed=True)
            return
        letter = letters.Letter(target.name, (), 0, 0, tuple(f"not tested: {line}" for line in why.splitlines()))
        posts = self._posted(target.name, letters.Written(letter, "", worse=True))
        words = f"not tested: {exc.message.splitlines()[0]}"
        told = tonight.diary.told(target.name, replace(book, broken=why), words, posts, worse=True)
        failed = (*tonight.night.failed, target.name)
        tonight.keep(replace(told, night=replace(told.night, failed=failed) if told.night else None))
        tonight.log(f"{target.name}: {words}")

    def found(self, number: int, command: str, found: culprits.Found) -> None:
        """What a search came to; the mail of a culprit waits with the others."""
        tonight = self.tonight
        mail = letters.culprit_bytes(found.mail, self._mail, tonight.night.began) if found.mail else b""
        posts = self._post(f"culprit-{number}", mail) if mail else ()
        night = replace(tonight.night, searches={**tonight.night.searches, command: found.line})
        tonight.keep(replace(tonight.diary, night=night, posts=(*tonight.diary.posts, *posts)))
        tonight.log(found.line)

    def deliver(self) -> str:
        """Hand over what waits, this night's and those of nights before; why not, "" when all are."""
        tonight, trouble = self.tonight, ""
        for post in tonight.diary.posts:
            if not post.sent:
                try:
                    send(letters.read_mail(tonight.asked.folder / post.file), self._mail.smtp)
                except (LabError, OSError) as exc:
                    trouble = str(exc)
                    continue
            left = tuple(each for each in tonight.diary.posts if each != post)
            tonight.keep(replace(tonight.diary, posts=left))
        return trouble

    @property
    def _mail(self) -> Mail:
        return self.tonight.asked.spec.mail

    def _wanted(self, written: letters.Written) -> tuple[str, ...]:
        """The searches that follow from what is told."""
        if not self.tonight.asked.spec.bisect:
            return ()
        return tuple(news.bisect for news in written.letter.news if news.bisect)

    def _posted(self, target: str, written: letters.Written) -> tuple[Post, ...]:
        """The mail of a target, on the disk; none where nothing changed."""
        if not (written.letter.news or written.letter.notes):
            return ()
        return self._post(target, letters.mail_bytes(written.letter, self._mail, self.tonight.night.began))

    def _post(self, name: str, mail: bytes) -> tuple[Post, ...]:
        """A mail, on the disk."""
        file = self.tonight.folder / f"mail-{name}.eml"
        write_whole(file, mail)
        return (Post(str(file.relative_to(self.tonight.asked.folder)), sent=not self._mail.to),)
