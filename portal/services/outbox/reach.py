"""What this process knows of whom its machine can reach, in memory: no claim asks for it.

Each beat reads it anew, and so does whoever records a failure. One machine alone knows nothing and
leaves nothing to anybody.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final, NamedTuple, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import Connection, Select, bindparam, delete, exists, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import aliased
from sqlalchemy.sql.dml import Delete

from portal.database.engine import database_now
from portal.engine.reach import (
    FIRST_PAUSE,
    LONG_PATIENCE,
    REFUTED_DOUBTS,
    SHORT_PATIENCE,
    WARY_PATIENCE,
    Doubt,
    goes_back,
    is_refuted,
    is_sick,
    left_to_others,
    next_pause,
)
from portal.extensions import settings
from portal.models.operations import Process, Reach
from portal.models.webhooks import Webhook
from portal.queue.names import DELIVERIES
from portal.services.core.heartbeats import FORGOTTEN_AFTER, SILENT_AFTER, worker_of
from portal.services.core.queries import as_json, given_ids, insert_many

SENDS: Final = Process.kind == worker_of(DELIVERIES)
ROWS: Final = ("webhook_id", "machine", "since", "failed_at", "pause", "until", "refuted")
A_SECOND: Final = timedelta(seconds=1)
PROBES_AT_ONCE: Final = 50
# No longer than two bare probes take: then another process of the machine may take its turn.
TURN: Final = timedelta(seconds=15)


class Machines(NamedTuple):
    """The machines that send, and live. `benched`: those of them that send nothing now; `runs`:
    the processes of the others."""

    living: frozenset[str]
    benched: frozenset[str]
    runs: frozenset[UUID] = frozenset()

    def others_than(self, machine: str) -> frozenset[str]:
        """Those that may take something over from it."""
        return self.living - self.benched - {machine}


def find_machines(connection: Connection, now: datetime) -> Machines:
    """Whoever has a living process that sends; one of its processes on the bench is all of them."""
    rows = connection.execute(_living(), {"since": now - SILENT_AFTER}).all()
    living = frozenset(row.host for row in rows)
    benched = frozenset(row.host for row in rows if row.benched_at is not None)
    runs = frozenset(row.run for row in rows if row.run and row.host not in benched)
    return Machines(living, benched, runs)


def find_doubts(
    connection: Connection, ids: Collection[int] | None = None
) -> dict[int, list[Doubt]]:
    """All doubts about the receivers of these webhooks, or about any."""
    columns = [getattr(Reach, name) for name in Doubt._fields]
    wanted = select(*columns).order_by(Reach.webhook_id)
    if ids is not None:
        wanted = wanted.where(Reach.webhook_id.in_(ids))
    found: dict[int, list[Doubt]] = defaultdict(list)
    for row in connection.execute(wanted):
        found[row[0]].append(Doubt._make(row))
    return found


class RefutedDoubts(NamedTuple):
    """A machine, since when it has not reached receivers that others have, and how many."""

    machine: str
    since: datetime
    webhooks: int


def find_refuted(connection: Connection) -> list[RefutedDoubts]:
    """The machines whose doubts were refuted, by name."""
    columns = (Reach.machine, func.min(Reach.since), func.count())
    wanted = select(*columns).where(Reach.refuted).group_by(Reach.machine).order_by(Reach.machine)
    return [RefutedDoubts._make(row) for row in connection.execute(wanted)]


def write_failures(connection: Connection, machine: str, ids: Iterable[int], now: datetime) -> None:
    """Store that the machine could not connect to these. Their webhooks are locked."""
    rows = [
        {
            "webhook_id": each,
            "machine": machine,
            "since": now,
            "failed_at": now,
            "pause": FIRST_PAUSE,
            "until": now + FIRST_PAUSE * A_SECOND,
            "refuted": False,
        }
        for each in sorted(ids)
    ]
    connection.execute(_upsert(connection.dialect.name), {"rows": as_json(rows)})


def forget(connection: Connection, machine: str, ids: Iterable[int]) -> None:
    """The machine has connected to these."""
    given = {"ids": as_json(sorted(ids)), "machine": machine}
    connection.execute(_forget(connection.dialect.name), given)


def forget_webhook(connection: Connection, webhook_id: int) -> None:
    """Its address has changed: what anybody knows of the way there says nothing any more."""
    connection.execute(delete(Reach).where(Reach.webhook_id == webhook_id))


def forget_gone(connection: Connection) -> None:
    """Take out the doubts of machines that have had no process for an hour."""
    is_there = exists().where(SENDS, Process.host == Reach.machine)
    long_ago = database_now(connection) - FORGOTTEN_AFTER
    connection.execute(delete(Reach).where(Reach.failed_at < long_ago, ~is_there))


class Knock(NamedTuple):
    """A receiver that is to be probed. `address`: the columns of its webhook that say where."""

    webhook_id: int
    pause: int
    public_id: Any
    kind: str
    url: str


def take_turns(connection: Connection, machine: str) -> Sequence[Knock]:
    """Whom this process is to probe now, in place of all processes of its machine.

    Nobody until one is due; then those along with it that would be within a second. A round ends
    with its slowest probe, and a machine has to be judged in seconds.
    """
    now = database_now(connection)
    first = aliased(Reach)
    is_time = exists().where(first.machine == machine, first.until <= now)
    due = (
        select(Reach.webhook_id, Reach.pause, Webhook.public_id, Webhook.kind, Webhook.url)
        .join(Webhook, Webhook.id == Reach.webhook_id)
        .where(Reach.machine == machine, Reach.until <= now + A_SECOND, is_time)
        .order_by(Reach.until)
        .limit(PROBES_AT_ONCE)
        .with_for_update(of=Reach, skip_locked=True)
    )
    taken = [Knock._make(row) for row in connection.execute(due)]
    turn = update(Reach).where(
        Reach.machine == machine, Reach.webhook_id.in_([each.webhook_id for each in taken])
    )
    if taken:
        connection.execute(turn.values(until=now + TURN))
    return taken


def note_knocks(
    connection: Connection, machine: str, reached: Collection[int], failed: Collection[int]
) -> None:
    """Store what came of bare probes: who was reached is doubted no more; of the others it is seen
    whether somebody else has delivered there meanwhile."""
    now = database_now(connection)
    if reached:
        forget(connection, machine, reached)
    if not failed:
        return
    mine = select(Reach.webhook_id, Reach.pause, Webhook.last_delivered_at)
    rows = connection.execute(
        mine.join(Webhook, Webhook.id == Reach.webhook_id)
        .where(Reach.machine == machine, Reach.webhook_id.in_(failed))
        .order_by(Reach.webhook_id)
        .with_for_update(of=Reach)
    ).all()
    doubts = find_doubts(connection, [row.webhook_id for row in rows])
    for row in rows:
        about = doubts[row.webhook_id]
        own = next(each for each in about if each.machine == machine)
        others = [each for each in about if each.machine != machine]
        pause = next_pause(row.pause)
        changed = {
            "failed_at": now,
            "pause": pause,
            "until": now + pause * A_SECOND,
            "refuted": own.refuted or is_refuted(own, others, row.last_delivered_at),
        }
        is_own = (Reach.machine == machine, Reach.webhook_id == row.webhook_id)
        connection.execute(update(Reach).where(*is_own).values(**changed))


def judge_machine(connection: Connection, machine: str) -> bool | None:
    """Put the machine on the bench, or take it off. True: it is on it from now on, False: it is no
    more, None: nothing has changed."""
    now = database_now(connection)
    # All of them, in one order: two that judge themselves at once must not both sit down.
    rows = connection.execute(
        select(Process.host, Process.benched_at, Process.seen_at)
        .where(SENDS)
        .order_by(Process.name)
        .with_for_update()
    )
    living = [row for row in rows if row.seen_at > now - SILENT_AFTER]
    benched = frozenset(row.host for row in living if row.benched_at is not None)
    machines = Machines(frozenset(row.host for row in living), benched)
    refuted = select(func.count()).where(Reach.machine == machine, Reach.refuted)
    is_over = is_sick(connection.execute(refuted).scalar_one(), machines.others_than(machine))
    if is_over is (machine in benched):
        return None
    own = update(Process).where(SENDS, Process.host == machine)
    connection.execute(own.values(benched_at=now if is_over else None))
    return is_over


@cache
def _living() -> Select[*tuple[Any, ...]]:
    since = bindparam("since", type_=Process.seen_at.type)
    return select(Process.host, Process.benched_at, Process.run).where(
        SENDS, Process.seen_at > since
    )


@cache
def _upsert(dialect: str) -> postgresql.Insert | sqlite.Insert:
    insert = insert_many(dialect, Reach, ROWS)
    return insert.on_conflict_do_update(
        index_elements=[Reach.webhook_id, Reach.machine],
        set_={"failed_at": insert.excluded["failed_at"]},
    )


@cache
def _forget(dialect: str) -> Delete:
    return delete(Reach).where(
        Reach.machine == bindparam("machine"), Reach.webhook_id.in_(given_ids(dialect))
    )


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
        self._audience_of_states: frozenset[int] = (
            frozenset()
        )  # of these, since it leaves some to others
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
        is_known = webhook_id in known.doubted or webhook_id in self._audience_of_states
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
        machines = find_machines(connection, database_now(connection))
        others = machines.others_than(self.machine)
        if not others and not self._known.own and self.machine not in machines.benched:
            self._known = NOTHING
            return machines
        doubts = find_doubts(connection)
        seen = self._seen(doubts, others)
        self._known = replace(seen, is_benched=self.machine in machines.benched)
        if not seen.left:
            self._audience_of_states = frozenset()
        return machines

    def note_failures(
        self,
        connection: Connection,
        failed: Mapping[int, datetime | None],
        now: datetime,
    ) -> set[int]:
        """Store that there was no connection to these webhooks, which are locked; return those
        whose deliveries go back. `failed`: with the time when anything last arrived at each."""
        others = find_machines(connection, now).others_than(self.machine)
        if not others:
            return set()
        doubts = find_doubts(connection, list(failed))
        back = set()
        for webhook_id, delivered_at in failed.items():
            of_others = [each for each in doubts[webhook_id] if each.machine != self.machine]
            if goes_back(of_others, others, delivered_at):
                back.add(webhook_id)
            doubts[webhook_id] = [*of_others, Doubt(webhook_id, self.machine, now, now)]
        write_failures(connection, self.machine, failed, now)
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
            self._audience_of_states = self._audience_of_states.union(webhook_ids)
        if reached := self._known.own.intersection(webhook_ids):
            forget(connection, self.machine, reached)
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
