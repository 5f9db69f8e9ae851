"""Leases that a dispatcher gives back: of what was claimed too late, and of what a shutdown cut
off."""

from collections.abc import Sequence, Set
from functools import partial
from time import monotonic
from uuid import UUID

from jobs.dispatcher.database_executor import DatabaseExecutor
from jobs.dispatcher.database_writer import DatabaseWriter
from portal.services.dispatch import claim_types
from portal.services.dispatch.claim_types import Claim


class Returns:
    """Those of one dispatcher."""

    def __init__(self, writer: DatabaseWriter, executor: DatabaseExecutor) -> None:
        self._writer, self._executor = writer, executor
        self._unsent: list[Claim] = []
        self._interrupted: list[Claim] = []
        self._has_given = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits to be given back."""
        return not (self._unsent or self._interrupted)

    @property
    def tokens(self) -> Set[UUID]:
        """Of the leases that wait for that."""
        return {each.token for each in (*self._unsent, *self._interrupted)}

    def add(self, claims: Sequence[Claim], interrupted: Sequence[Claim] = ()) -> None:
        """These are not sent; the `interrupted` ones may have arrived."""
        self._unsent += claims
        self._interrupted += interrupted

    def give_back(self, *, beside: bool) -> bool:
        """What was not sent, if there is any. Whether some was given back since this was asked."""
        if not (self.is_empty or self._executor.is_busy):
            sent, unsent = [*self._interrupted], [*self._unsent]
            release = partial(claim_types.release, sent=sent, unsent=unsent)
            note = partial(self._note, len(sent), len(unsent))
            self._executor.submit(partial(self._writer.write, release), note, beside=beside)
        given, self._has_given = self._has_given, False
        return given

    def finish(self, sent: Sequence[Claim], until: float) -> None:
        """At the end: all that is left, and what was `sent` and cut off. Until that time at most,
        by the monotonic clock."""
        sent = [*sent, *self._interrupted]
        work = partial(claim_types.release, sent=sent, unsent=self._unsent)
        while (sent or self._unsent) and monotonic() < until:
            if self._writer.write(work):
                break

    def _note(self, sent: int, unsent: int, is_done: bool | None) -> None:
        if is_done:
            del self._interrupted[:sent]
            del self._unsent[:unsent]
            self._has_given = True
