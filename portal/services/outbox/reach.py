"""What this process knows of whom its machine can reach, in memory: no claim asks for it.

Each beat reads it anew, and so does whoever records a failure. One machine alone knows nothing and
leaves nothing to anybody.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Protocol, TypeVar

from sqlalchemy import Connection

from portal.database.engine import database_now
from portal.engine.reach import (
    LONG_PATIENCE,
    REFUTED_DOUBTS,
    SHORT_PATIENCE,
    WARY_PATIENCE,
    Doubt,
    goes_back,
    left_to_others,
)
from portal.extensions import settings
from portal.services.outbox import reach_rows
from portal.services.outbox.reach_rows import Machines


class OfWebhook(Protocol):
    """Whatever says which webhook it is about."""

    @property
    def webhook_id(self) -> int:
        """The webhook's row id."""


T = TypeVar("T", bound=OfWebhook)


@dataclass(frozen=True, slots=True)
class Known:
    """How things stood at the last look. `others`: machines that may take something over; `left`:
    webhooks that are theirs meanwhile; `own`, `doubted`: those of which this machine, or any, has
    said that it cannot connect to them. `refuted`: how many of its own doubts were."""

    others: frozenset[str] = frozenset()
    is_benched: bool = False
    left: frozenset[int] = frozenset()
    own: frozenset[int] = frozenset()
    doubted: frozenset[int] = frozenset()
    refuted: int = 0


NOTHING: Final = Known()


class OwnReach:
    """The reach of this process's machine, which bears the name in the setting MACHINE.

    `connecting`: webhooks to which a connect lasts suspiciously long. `leaves_some`: whether the
    last look left something that is due to other machines.
    """

    def __init__(self, machine: str = "") -> None:
        self._machine = machine
        self._known = NOTHING
        self._heard: frozenset[int] = frozenset()  # of these, since it leaves some to others
        self.connecting: Collection[int] = ()
        self.leaves_some = False

    @property
    def machine(self) -> str:
        """The name of the machine."""
        return self._machine or settings().machine

    @property
    def has_others(self) -> bool:
        """Whether another machine may take something over."""
        return bool(self._known.others)

    @property
    def is_doubting(self) -> bool:
        """Whether there are receivers to which this machine could not connect."""
        return bool(self._known.own)

    @property
    def is_in_question(self) -> bool:
        """Whether it has to be judged if this machine is to send."""
        return self._known.is_benched or self._known.refuted >= REFUTED_DOUBTS

    def patience_with(self, webhook_id: int, *, throttled: bool) -> float:
        """Seconds for connecting: less while another machine may take it over, and nobody has any
        doubt about the receiver; still less where this machine `is_wary_of` it."""
        known = self._known
        if not known.others or throttled or webhook_id in known.doubted:
            return LONG_PATIENCE
        return WARY_PATIENCE if self.is_wary_of(webhook_id) else SHORT_PATIENCE

    def is_wary_of(self, webhook_id: int) -> bool:
        """Whether this machine may be the one in trouble: it could not connect to some receiver
        that is another's meanwhile, and has not heard of this one since. Then nothing is sent over
        a connection that was open before."""
        known = self._known
        is_known = webhook_id in known.doubted or webhook_id in self._heard
        return bool(known.left) and not is_known

    def takes(self, webhook_id: int) -> bool:
        """Whether this machine claims for the webhook."""
        known = self._known
        if not known.others:
            return True
        is_left = webhook_id in known.left or webhook_id in self.connecting
        return not (known.is_benched or is_left)

    def choose(self, wanted: Iterable[T]) -> list[T]:
        """Those of what is due that this machine claims; it remembers whether that is all."""
        found = list(wanted)
        chosen = found
        if self.has_others:
            chosen = [each for each in found if self.takes(each.webhook_id)]
        self.leaves_some = len(chosen) < len(found)
        return chosen

    def refresh(self, connection: Connection) -> Machines:
        """Look how things stand; return who sends. Two statements; one where this machine is
        alone."""
        machines = reach_rows.find_machines(connection, database_now(connection))
        others = machines.others_than(self.machine)
        if not others and not self._known.own and self.machine not in machines.benched:
            self._known = NOTHING
            return machines
        doubts = reach_rows.find_doubts(connection)
        seen = self._seen(doubts, others)
        self._known = replace(seen, is_benched=self.machine in machines.benched)
        if not seen.left:
            self._heard = frozenset()
        return machines

    def note_failures(
        self,
        connection: Connection,
        failed: Mapping[int, datetime | None],
        now: datetime,
    ) -> set[int]:
        """Store that there was no connection to these webhooks, which are locked; return those
        whose deliveries go back. `failed`: with the time when anything last arrived at each."""
        others = reach_rows.find_machines(connection, now).others_than(self.machine)
        if not others:
            return set()
        doubts = reach_rows.find_doubts(connection, list(failed))
        back = set()
        for webhook_id, delivered_at in failed.items():
            of_others = [each for each in doubts[webhook_id] if each.machine != self.machine]
            if goes_back(of_others, others, delivered_at):
                back.add(webhook_id)
            doubts[webhook_id] = [*of_others, Doubt(webhook_id, self.machine, now, now)]
        reach_rows.write_failures(connection, self.machine, failed, now)
        seen, known = self._seen(doubts, others), self._known
        self._known = replace(
            known,
            others=others,
            left=known.left.difference(failed) | seen.left,
            own=known.own | seen.own,
            doubted=known.doubted | seen.doubted,
        )
        return back

    def note_answers(self, connection: Connection, webhook_ids: Collection[int]) -> None:
        """These webhooks, which are locked, have answered this machine."""
        if self._known.left:
            self._heard = self._heard.union(webhook_ids)
        if reached := self._known.own.intersection(webhook_ids):
            reach_rows.forget(connection, self.machine, reached)
            self.note_reached(reached)

    def note_reached(self, webhook_ids: Collection[int]) -> None:
        """This machine has connected to these after all, and the rows say so."""
        known = self._known
        own, left = (each.difference(webhook_ids) for each in (known.own, known.left))
        self._known = replace(known, own=own, left=left)

    def _seen(self, doubts: Mapping[int, Iterable[Doubt]], others: frozenset[str]) -> Known:
        every = [each for some in doubts.values() for each in some]
        return Known(
            others,
            left=left_to_others(every, self.machine, others),
            own=frozenset(each.webhook_id for each in every if each.machine == self.machine),
            doubted=frozenset(doubts),
            refuted=sum(each.refuted for each in every if each.machine == self.machine),
        )


own_reach: Final = OwnReach()
