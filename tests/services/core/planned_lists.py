"""Lists of plans, alerts and audit entries, with rows and the expected pages."""

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from itertools import product
from typing import Any

from portal.models.alerts import Alert
from portal.models.assets import Asset
from portal.models.assignments import Staff
from portal.models.audit import AuditEntry
from portal.models.planning import OPEN_MAINTENANCES, OPEN_RESERVATIONS, Maintenance, Reservation
from portal.services import audit as audit_queries
from portal.services.actions.planning import queries as planning_queries
from portal.services.actions.planning.queries import (
    MaintenanceList,
    PlanFilter,
    ReservationList,
)
from portal.services.alerts import queries as alert_queries
from portal.services.alerts.queries import AlertFilter, Which
from portal.services.audit import TrailFilter
from portal.services.core.unit_of_work import session
from tests.services.core.keyset_walk import NOON, Case, by_id, every, newest, of_two_assets, store
from tests.support.factories import make_user


def reservations() -> Iterator[Case]:
    """Yield lists of reservations, many of which start at the same time."""
    one, other = of_two_assets()
    ana = Staff(name="Ana", email="ana@example.com")
    store(ana)
    states = ["pending", "approved", "rejected", "cancelled", "fulfilled", "expired"]
    store(
        *(
            Reservation(
                asset_id=one if n % 5 else other,
                staff_id=ana.id,
                state=states[n % 6],
                starts_at=NOON + timedelta(days=n // 12 % 2),
                ends_at=NOON + timedelta(days=3),
            )
            for n in range(30)
        )
    )
    rows = every(Reservation)
    for asset_id in (None, one, other):
        mine = [row for row in rows if asset_id in (None, row.asset_id)]
        for which in ReservationList:
            of_it = [row for row in mine if row.state == which]
            soonest = [row.id for row in sorted(of_it, key=lambda row: (row.starts_at, row.id))]
            yield Case(
                f"reservations {which} {asset_id}",
                lambda cursor, which=which, asset_id=asset_id: planning_queries.list_reservations(
                    which, asset_id, cursor
                ),
                by_id,
                newest(mine) if which is ReservationList.ALL else soonest,
            )


def maintenances() -> Iterator[Case]:
    """Yield lists of maintenance, much of which is due on the same day."""
    one, other = of_two_assets()
    states = ["scheduled", "completed", "scheduled", "cancelled"]
    store(
        *(
            Maintenance(
                asset_id=one if n % 5 else other,
                title="Check",
                state=states[n % 4] if n else "in_progress",
                due_on=date(2030, 5, 3) + timedelta(days=n // 8 % 2),
            )
            for n in range(16)
        )
    )
    rows = every(Maintenance)
    for asset_id in (None, one, other):
        mine = [row for row in rows if asset_id in (None, row.asset_id)]
        todo = [row for row in mine if row.state in {"scheduled", "in_progress"}]
        soonest = [row.id for row in sorted(todo, key=lambda row: (row.due_on, row.id))]
        for which, expected in (
            (MaintenanceList.OPEN, soonest),
            (MaintenanceList.ALL, newest(mine)),
        ):
            yield Case(
                f"maintenances {which} {asset_id}",
                lambda cursor, which=which, asset_id=asset_id: planning_queries.list_maintenances(
                    which, asset_id, cursor
                ),
                by_id,
                expected,
            )


def plans() -> Iterator[Case]:
    """Yield reservations and maintenance: all, by asset, by person, by state."""
    list(reservations())
    list(maintenances())
    (ana,) = every(Staff)
    ben = Staff(name="Ben", email="ben@example.com")
    store(ben)
    work = {"asset_id": every(Maintenance)[0].asset_id, "title": "Check", "assignee_id": ben.id}
    store(*(Maintenance(due_on=date(2030, 5, 3), **work) for _ in range(7)))
    for kind in (Reservation, Maintenance):
        rows = every(kind)
        of_ana = [row for row in rows if ana.id == getattr(row, "staff_id", None)]
        of_ben = [row for row in rows if ben.id == getattr(row, "assignee_id", None)]
        asset_id, state = rows[-1].asset_id, rows[-1].state
        for chosen, does in (
            (PlanFilter(), rows),
            (PlanFilter(asset_id=asset_id), [row for row in rows if row.asset_id == asset_id]),
            (PlanFilter(staff_id=ana.id if kind is Reservation else ben.id), of_ana or of_ben),
            (PlanFilter(state=state), [row for row in rows if row.state == state]),
        ):
            yield Case(
                f"{kind.__name__} {chosen}",
                lambda cursor, kind=kind, chosen=chosen: planning_queries.find_page(
                    kind, chosen, cursor
                ),
                by_id,
                newest(does),
                frozenset({"asset_id", "staff_id", "state"}),
            )


def past_reservations() -> Iterator[Case]:
    """Yield the closed reservations of each asset."""
    list(reservations())
    for asset_id in sorted({row.asset_id for row in every(Reservation)}):
        mine = [row for row in every(Reservation) if row.asset_id == asset_id]
        yield Case(
            f"past reservations {asset_id}",
            lambda cursor, asset_id=asset_id: planning_queries.past_reservations(asset_id, cursor),
            by_id,
            newest([row for row in mine if row.state not in OPEN_RESERVATIONS]),
        )


def past_maintenances() -> Iterator[Case]:
    """Yield the closed maintenance of each asset."""
    list(maintenances())
    for asset_id in sorted({row.asset_id for row in every(Maintenance)}):
        mine = [row for row in every(Maintenance) if row.asset_id == asset_id]
        yield Case(
            f"past maintenances {asset_id}",
            lambda cursor, asset_id=asset_id: planning_queries.past_maintenances(asset_id, cursor),
            by_id,
            newest([row for row in mine if row.state not in OPEN_MAINTENANCES]),
        )


def trail() -> Iterator[Case]:
    """Yield audit trails: all, by person, without a person, by action, by asset, by time."""
    ana, ben = make_user(name="Ana"), make_user(name="Ben")
    asset_id, _ = of_two_assets()
    tag = session().get_one(Asset, asset_id).asset_tag
    who = {"origin": "ui", "target_name": "X"}
    store(
        *(
            AuditEntry(
                actor_id=(ana.id, ben.id, None)[n % 3],
                actor_name="Somebody",
                action=("x.y", "x.z", "y.z")[n % 3],
                target_kind=("webhook", "asset")[n % 2],
                target_id=str(asset_id) if n % 4 else "77",
                at=NOON + timedelta(days=n // 4 % 5),  # the last entries have an earlier time
                **who,
            )
            for n in range(24)
        )
    )
    middle, end = NOON + timedelta(days=2), NOON + timedelta(days=4)

    def shown(row: AuditEntry) -> tuple[datetime, int]:
        return row.at, row.id

    def case(does: Callable[[Any], bool], **asked: Any) -> Case:
        wanted = TrailFilter(**asked)
        return Case(
            f"trail {asked}",
            lambda cursor: audit_queries.find_page(wanted, cursor),
            by_id,
            [row.id for row in sorted(every(AuditEntry), key=shown, reverse=True) if does(row)],
            frozenset(asked),
        )

    yield case(lambda _: True)
    yield case(lambda row: row.actor_id == ana.id, person=ana.public_id)
    yield case(lambda row: row.actor_id is None, nobody=True)
    yield case(lambda row: row.action in ("x.y", "y.z"), actions=("x.y", "y.z"))
    yield case(
        lambda row: (row.target_kind, row.target_id) == ("asset", str(asset_id)),
        asset_tag=tag.lower(),
    )
    yield case(lambda row: row.at >= middle, since=middle)
    yield case(lambda row: row.at < middle, until=middle)
    yield case(
        lambda row: middle <= row.at < end and row.action == "x.y",
        since=middle, until=end, actions=("x.y",),
    )  # fmt: skip


def alerts() -> Iterator[Case]:
    """Yield alerts by state, by event and by asset."""
    one, other = of_two_assets()
    kinds = ("alert.low_stock", "alert.warranty_expiring")
    parts = product(kinds, (one, one, other), (NOON, None), (NOON, None, None))
    store(
        *(
            Alert(
                event=event,
                asset_id=asset_id,
                matter=f"m{n}",
                dedupe_key=f"m{n}",
                acknowledged_at=acknowledged,
                resolved_at=resolved,
            )
            for n, (event, asset_id, acknowledged, resolved) in enumerate(parts)
        )
    )
    is_in = {
        Which.OPEN: lambda row: row.acknowledged_at is None and row.resolved_at is None,
        Which.ACKNOWLEDGED: lambda row: row.acknowledged_at is not None,
        Which.ALL: lambda _: True,
    }
    for which in Which:
        for event in (None, kinds[1]):
            for asset_id in (None, other):
                chosen = AlertFilter(which=which, event=event, asset_id=asset_id)
                rows = [row for row in every(Alert) if is_in[which](row)]
                rows = [row for row in rows if event in (None, row.event)]
                yield Case(
                    f"alerts {chosen}",
                    lambda cursor, chosen=chosen: alert_queries.list_alerts(chosen, cursor),
                    by_id,
                    newest([row for row in rows if asset_id in (None, row.asset_id)]),
                    frozenset({"which", "event", "asset_id"}),
                )
