"""Leases that a pump gives back: of what was claimed too late to be sent, of what a shutdown cut
off, and those of which nobody told it, since the answer to a commit was lost.
"""

from collections.abc import Sequence, Set
from functools import partial
from time import monotonic
from typing import Final
from uuid import UUID

from jobs.pump.database_writer import DatabaseWriter
from jobs.pump.desk import Desk
from portal.services.core.runs import own_run
from portal.services.dispatch import release
from portal.services.dispatch.claim_types import Claim

AGAIN: Final = 0.5  # seconds, where the database could not do it


class Returns:
    """Those of one pump. `every`: in how many seconds it looks again for leases that it does not
    know, for as long as there may be any."""

    def __init__(self, writer: DatabaseWriter, desk: Desk, every: float) -> None:
        self._writer, self._desk, self._every = writer, desk, every
        self._unsent: list[Claim] = []
        self._look_at = 0.0
        self._has_given = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be given back."""
        return not self._unsent

    def add(self, claims: Sequence[Claim]) -> None:
        """These are not sent."""
        self._unsent += claims

    def give_back(self, *, beside: bool) -> bool:
        """What was not sent, if there is any. Whether some was given back since this was asked."""
        if self._unsent and not self._desk.is_busy:
            unsent = [*self._unsent]
            work = partial(self._writer.write, partial(release.release, sent=[], unsent=unsent))
            self._desk.give(work, partial(self._note_given, len(unsent)), beside=beside)
        given, self._has_given = self._has_given, False
        return given

    def give_back_unknown(self, held: Set[UUID], *, beside: bool) -> None:
        """What may have been claimed without anybody's being told. Nothing is being claimed while
        the desk is free. `held`: the tokens of whatever is, or will be, sent or recorded."""
        if not self._writer.is_unsure:
            self._look_at = 0.0
        elif monotonic() >= self._look_at and not self._desk.is_busy:
            known = {*held, *(each.token for each in self._unsent)}
            work = partial(release.give_back_unknown, run=own_run(), held=known)
            self._desk.give(partial(self._writer.write, work), self._note_looked, beside=beside)

    def finish(self, sent: Sequence[Claim], until: float) -> None:
        """At the end: all that is left, and what was `sent` and cut off. Until that time at most,
        by the monotonic clock."""
        work = partial(release.release, sent=sent, unsent=self._unsent)
        while (sent or self._unsent) and monotonic() < until:
            if self._writer.write(work):
                break

    def _note_given(self, count: int, is_done: bool | None) -> None:
        if is_done:
            del self._unsent[:count]
            self._has_given = True

    def _note_looked(self, is_done: bool | None) -> None:
        self._look_at = monotonic() + (self._every if is_done else AGAIN)
