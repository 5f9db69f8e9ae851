"""What the beats of this process have found, in memory, so that who asks never waits for it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from portal.database.trouble import Kind, Trouble, book
from portal.lib.clock import since_boot
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.heartbeats import BEAT_EVERY, BROKEN_AFTER, Life, worker_of

SILENT: Final = 2 * BEAT_EVERY  # seconds: two beats were missed
OVERDUE: Final = BROKEN_AFTER.total_seconds()  # one was
OK: Final = "ok"
# Nothing that passes by itself: said at once.
CERTAIN: Final = {Kind.FULL, Kind.READ_ONLY, Kind.DISK}
SENDERS: Final = (worker_of(DELIVERIES), heartbeats.PUMP)


class Need(StrEnum):
    """What somebody needs the portal for."""

    PAGES = "pages"
    SENDING = "sending"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a beat of the web has read beside: whether the tables are of this version (None where
    nobody could look), who lives, why Redis cannot be used, if so, and since when all sending is
    stopped."""

    has_tables: bool | None = None
    lives: Sequence[Life] = ()
    redis: str | None = None
    stopped_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """Each part is `ok`, or why it is not. Redis and a person's stop are told, and not missed."""

    database: str
    migrations: str
    sending: str
    redis: str
    switch: str

    def is_ready(self, purpose: Need | None = None) -> bool:
        """Whether nothing is missing for it; without a purpose, for all of them."""
        parts = [self.database, self.migrations]
        if purpose is not Need.PAGES:
            parts.append(self.sending)
        return all(each == OK for each in parts)


@dataclass
class Pulse:
    """The state of one process. `clock`: seconds, also those in which the machine is suspended."""

    clock: Callable[[], float] = since_boot
    look: Surroundings = field(default_factory=Surroundings)
    _began: float | None = None
    _good_at: float | None = None
    _missed: int = 0
    _last: Trouble | None = None

    @property
    def is_beating(self) -> bool:
        """Whether this process has beats at all."""
        return self._began is not None

    @property
    def is_overdue(self) -> bool:
        """Whether beats are missing: others will soon take this process for gone, or have done so
        while it stood still."""
        since = self._good_at if self._good_at is not None else self._began
        return self.is_beating and since is not None and self.clock() - since > OVERDUE

    @property
    def is_known(self) -> bool:
        """Whether a beat was good, or two were not."""
        return self._good_at is not None or self._missed >= 2

    def begin(self) -> None:
        """Beats come from now on."""
        self._began = self.clock()

    def end(self) -> None:
        """No further one comes."""
        self._began = None

    def beat(self, found: Trouble | None) -> None:
        """One was taken: what was wrong."""
        self._last = found
        if found is None or found.kind in {Kind.FULL, Kind.DISK}:  # the beat itself was good
            self._good_at, self._missed = self.clock(), 0
        else:
            self._missed += 1

    def read(self) -> Ready:
        """How things stand, from memory."""
        look = self.look
        return Ready(
            database=self._database(),
            migrations={True: OK, False: "missing", None: "not known"}[look.has_tables],
            sending=_sending(look.lives),
            redis=look.redis or OK,
            switch=_switch(look.stopped_at),
        )

    def _database(self) -> str:
        if refusal := self._refusal():
            return str(refusal)
        if self._missed >= 2 and self._last:
            return str(self._last)
        since = self._good_at if self._good_at is not None else self._began
        if since is None or self.clock() - since > SILENT:
            return "no answer"
        return OK if self._good_at is not None else "no answer yet"

    def _refusal(self) -> Trouble | None:
        """What does not pass by itself, met by this process or by another on the same database."""
        others = (each.trouble for each in self.look.lives if each.is_alive and each.trouble)
        found = filter(None, (book.present(), *others))
        return next((each for each in found if each.kind in CERTAIN), None)


def _switch(stopped_at: datetime | None) -> str:
    if stopped_at is None:
        return OK
    return f"a person stopped all sending at {stopped_at.isoformat(timespec='seconds')}"


def _sending(lives: Sequence[Life]) -> str:
    senders = [each for each in lives if each.kind in SENDERS and each.is_alive]
    if not senders:
        return "no process is sending"
    troubles = [each.trouble for each in senders if each.kind != heartbeats.PUMP]
    return str(troubles[0]) if troubles and all(troubles) else OK


pulse: Final = Pulse()
