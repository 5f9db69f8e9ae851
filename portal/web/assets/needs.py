"""What needs doing about an asset: each a sentence with the button that does it."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from flask import url_for

from portal.lib.durations import relative
from portal.models.assets import Action, AssetStatus
from portal.models.planning import ReservationState
from portal.services.actions.planning.queries import is_at_risk
from portal.services.actions.why_not import STANDING
from portal.web.assets.state import Standing, moment_words
from portal.web.frame.wording import day_words, number, zone
from portal.web.planning.words import LATE, day_in_words, due_badge


@dataclass(frozen=True, slots=True)
class AssetNeed:
    """One thing that needs doing, with the button that does it."""

    text: str
    tone: str
    label: str
    url: str


def needs_of(standing: Standing) -> list[AssetNeed]:
    """Everything that needs doing, the most urgent first; nothing about what is deleted."""
    if standing.asset.deleted_at is not None:
        return []
    kinds = (_late, _at_risk, _wishes, _work, _back_from_claim, _warranty, _low)
    return [need for kind in kinds for need in kind(standing)]


def _late(standing: Standing) -> Iterator[AssetNeed]:
    held = standing.held
    if standing.late and held and held.due_at:
        due = relative(held.due_at, standing.now)
        text = f"{held.staff.name} should have brought it back {due}."
        yield AssetNeed(text, "danger", "Check in", _url(standing, Action.CHECK_IN))


def _at_risk(standing: Standing) -> Iterator[AssetNeed]:
    for each in standing.plans.reservations:
        if each.state == ReservationState.APPROVED and is_at_risk(each, standing.asset):
            since = moment_words(each.starts_at, standing.now)
            state = STANDING[AssetStatus(standing.asset.status)][0]
            text = f"{each.staff.name} counts on it from {since}, but it is {state}."
            yield AssetNeed(text, "warning", "See reservations", _tab(standing, "reservations"))
            return  # the soonest; the tab has all of them


def _wishes(standing: Standing) -> Iterator[AssetNeed]:
    found = [each for each in standing.plans.reservations if each.state == ReservationState.PENDING]
    if found:
        who = found[0].staff.name if len(found) == 1 else f"{len(found)} people"
        since = moment_words(found[0].starts_at, standing.now)
        begins = f"from {since}" if len(found) == 1 else f"the first from {since}"
        text = f"{who} asked to have it, {begins}. Nobody has decided yet."
        yield AssetNeed(text, "info", "Decide", _tab(standing, "reservations"))


def _work(standing: Standing) -> Iterator[AssetNeed]:
    for each in standing.plans.maintenances:
        badge = due_badge(each, standing.moment)
        if badge:
            was = "was" if badge is LATE else "is"
            text = f"“{each.title}” {was} due on {day_in_words(each.due_on)}."
            url = _url(standing, Action.COMPLETE_MAINTENANCE, subject=each.public_id)
            yield AssetNeed(text, "warning", "Complete", url)


def _back_from_claim(standing: Standing) -> Iterator[AssetNeed]:
    expected = standing.expected_back
    if expected and expected < standing.now.astimezone(zone()).date():
        text = f"It was expected back on {day_words(expected, standing.now)}."
        yield AssetNeed(text, "warning", "Receive back", _url(standing, Action.RECEIVE_BACK))


def _warranty(standing: Standing) -> Iterator[AssetNeed]:
    ends = standing.asset.warranty_expires
    if ends is None or not standing.warranty_ends_soon:
        return
    if standing.asset.status == AssetStatus.WARRANTY:
        return
    is_today = ends == standing.moment.today
    left = "today" if is_today else f"on {day_words(ends, standing.now)}"
    text = f"Its warranty ends {left}. If something is wrong with it, claim it now."
    yield AssetNeed(text, "warning", "Send to warranty", _url(standing, Action.SEND_TO_WARRANTY))


def _low(standing: Standing) -> Iterator[AssetNeed]:
    asset = standing.asset
    if standing.is_low:
        left = f"Only {number(asset.quantity)}" if asset.quantity else "Nothing"
        unit = f" ({asset.unit})" if asset.unit else ""
        text = f"{left} left{unit}. It counts as low below {number(asset.min_quantity or 0)}."
        yield AssetNeed(text, "warning", "Receive", _url(standing, Action.RECEIVE_STOCK))


def _url(standing: Standing, action: Action, subject: UUID | None = None) -> str:
    return url_for(f"actions.{action}", asset_id=standing.asset.id, subject=subject)


def _tab(standing: Standing, name: str) -> str:
    return url_for(f"asset_parts.{name}", asset_id=standing.asset.id)
