"""Explain why an asset's alert did not fire, by the same rules that alert runs use."""

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
    """The reason why an asset's alert isn’t sent. `kept` None means that the next run sends it.

    `by` is the deciding date or number. `title` is the title of the maintenance, if any. `alert` is
    the alert that was sent or marked as sent.
    """

    event: EventName
    kept: Kept | None
    by: Any = None
    title: str = ""
    alert: Alert | None = None


def why_not(asset: Asset, event: EventName, moment: Moment) -> list[Answer]:
    """Return one answer for each possible subject, or a single `Kept.UNSET` answer."""
    subjects = BY_EVENT[event].of_asset(session(), moment, asset.id)
    return [_answer(asset, event, subject) for subject in subjects] or [
        Answer(event=event, kept=Kept.UNSET)
    ]


def of_asset(asset: Asset, now: datetime) -> list[Answer]:
    """Return the answers for every alert kind that applies to the asset."""
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
    """Return the alert entered under the same key, or under the last alert's key for low stock."""
    latched = asset.low_stock_alerted_at
    if isinstance(verdict, Firing):
        key = verdict.key
    elif verdict is Kept.SENT and latched is not None:
        key = stock_matter(asset.id, latched)
    else:
        return None
    return session().scalars(select(Alert).where(Alert.dedupe_key == key)).one_or_none()


def soonest(event: EventName, now: datetime) -> tuple[Asset, Answer] | None:
    """Return the asset of the next alert of this kind, with its answer."""
    moment = alert_settings.moment(now)
    for asset in BY_EVENT[event].soonest(session(), moment):
        early = [answer for answer in why_not(asset, event, moment) if answer.kept is Kept.EARLY]
        if early:
            return asset, early[0]
    return None
