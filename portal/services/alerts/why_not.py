"""Why an alert did not fire: for an asset and a kind, by the rules that a check goes by."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select

from portal.engine.events.catalogue import EventName
from portal.models.alerts import Alert
from portal.models.assets import Asset, AssetKind
from portal.models.planning import Maintenance
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.kinds import BY_EVENT, KINDS, Decided
from portal.services.alerts.rules import Firing, Kept, Moment, stock_matter
from portal.services.core.unit_of_work import session

_STOCK: Final = frozenset({EventName.LOW_STOCK, EventName.WARRANTY_EXPIRING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The reason why an alert of an asset isn’t sent. `kept` None: the next check sends it.

    `by`: the date or number that decides. `title`: of the work, where it is about work. `alert`:
    the one that was sent, or marked as sent.
    """

    event: EventName
    kept: Kept | None
    by: Any = None
    title: str = ""
    alert: Alert | None = None


def why_not(asset: Asset, event: EventName, moment: Moment) -> list[Answer]:
    """One answer for each thing that an alert of this kind could be about, or one that there is
    none."""
    decided = BY_EVENT[event].of_asset(session(), moment, asset.id)
    return [_answer(asset, event, each) for each in decided] or [
        Answer(event=event, kept=Kept.UNSET)
    ]


def of_asset(asset: Asset, now: datetime) -> list[Answer]:
    """The answers of every kind that an asset can have alerts of."""
    moment = alert_settings.moment(now)
    is_stock = asset.kind == AssetKind.STOCK
    return [
        answer
        for kind in KINDS
        if (kind.event in _STOCK if is_stock else kind.event is not EventName.LOW_STOCK)
        for answer in why_not(asset, kind.event, moment)
    ]


def _answer(asset: Asset, event: EventName, decided: Decided) -> Answer:
    verdict = decided.verdict
    alert = _sent(asset, verdict)
    kept = verdict if isinstance(verdict, Kept) else Kept.SENT if alert else None
    work = session().get(Maintenance, decided.id) if event is EventName.MAINTENANCE_DUE else None
    title = work.title if work else ""
    return Answer(event=event, kept=kept, by=decided.by, title=title, alert=alert)


def _sent(asset: Asset, verdict: Firing | Kept) -> Alert | None:
    """The alert that was entered under the same key; of low stock, that of its latch."""
    latched = asset.low_stock_alerted_at
    if isinstance(verdict, Firing):
        key = verdict.key
    elif verdict is Kept.SENT and latched is not None:
        key = stock_matter(asset.id, latched)
    else:
        return None
    return session().scalars(select(Alert).where(Alert.dedupe_key == key)).one_or_none()


def soonest(event: EventName, now: datetime) -> tuple[Asset, Answer] | None:
    """The asset that an alert of this kind is about next, with its answer."""
    moment = alert_settings.moment(now)
    for asset in BY_EVENT[event].soonest(session(), moment):
        early = [each for each in why_not(asset, event, moment) if each.kept is Kept.EARLY]
        if early:
            return asset, early[0]
    return None
