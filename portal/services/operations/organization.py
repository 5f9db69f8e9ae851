"""Change the organization's name, time zone, and currency."""

from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy.orm import Session

from portal.config.values import is_currency
from portal.extensions import settings
from portal.models.operations import Organization
from portal.services import audit
from portal.services.core import organization
from portal.services.core.organization import FIRST, MONEY, ONE_ROW, TIME_ZONE
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import Refusal, Stale
from portal.services.core.time_zones import refuse_unknown_zone
from portal.services.core.unit_of_work import insert_or_ignore, session, writing

PERMISSION: Final = "organization.edit"
TARGET: Final = ("organization", ONE_ROW, "Organization")
LONGEST_NAME: Final = 40
NO_CURRENCY: Final = "Enter 3 letters, such as EUR"


@dataclass(frozen=True, slots=True)
class OrganizationValues:
    """Settings that a person can change."""

    name: str
    time_zone: str
    currency: str


@dataclass(frozen=True, slots=True)
class Stored:
    """Settings in force. `fixed` names those that the environment sets."""

    values: OrganizationValues
    version: int
    fixed: frozenset[str]


def read() -> Stored:
    """Reload the settings and return them, so that a page shows the latest Save."""
    organization.refresh(session().connection())
    now = settings()
    values = OrganizationValues(now.organization, now.timezone.key, now.currency)
    return Stored(values, now.organization_version, now.fixed)


def save(actor: Actor, version: int, values: OrganizationValues) -> bool:
    """Change the settings, except those set by the environment. Return whether any changed.

    Raises `Refusal`, `Stale`.
    """
    with writing() as current:
        require(current, actor, PERMISSION)
        row = _locked(current)
        if row.version != version:
            raise Stale("Someone else changed these settings after you opened the page.")
        before = read().values
        values = _with_fixed(values, before)
        _refuse_unfit(values)
        old, new = asdict(before), asdict(values)
        changes = {
            name: {"from": old[name], "to": new[name]} for name in new if old[name] != new[name]
        }
        if not changes:
            return False
        for name, value in new.items():
            setattr(row, name, value)
        row.version += 1
        audit.record(current, actor, "organization.updated", target=TARGET, changes=changes)
    organization.refresh(session().connection())
    return True


def _locked(current: Session) -> Organization:
    """Lock and return the one row. Create it at first use."""
    values = {"id": ONE_ROW, "version": FIRST, **asdict(read().values)}
    make = insert_or_ignore(current.connection())(Organization).values(values)
    current.execute(make.on_conflict_do_nothing())
    return current.get_one(Organization, ONE_ROW, with_for_update=True, populate_existing=True)


def _with_fixed(values: OrganizationValues, now: OrganizationValues) -> OrganizationValues:
    fixed = settings().fixed
    return OrganizationValues(
        values.name,
        now.time_zone if TIME_ZONE in fixed else values.time_zone,
        now.currency if MONEY in fixed else values.currency,
    )


def _refuse_unfit(values: OrganizationValues) -> None:
    if not 0 < len(values.name) <= LONGEST_NAME or not values.name.isprintable():
        raise Refusal("Enter the organization’s name", field="name")
    refuse_unknown_zone(values.time_zone)
    if not is_currency(values.currency):
        raise Refusal(NO_CURRENCY, field="currency")
