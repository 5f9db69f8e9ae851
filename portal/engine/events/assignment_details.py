"""What `data` adds when an asset is given, lent, taken back or returned, in wire order."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal.engine.events.body import Ref
from portal.engine.events.facts import plain


@dataclass(frozen=True, slots=True)
class StaffRef:
    """A member of staff, named."""

    id: int
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class ClosedAssignment:
    """A holding that another action ended; `type` is allocation or checkout."""

    id: int
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """How an asset was given; `location` is where it was then."""

    allocation_id: int
    staff: StaffRef
    allocated_at: datetime
    location: Ref | None
    condition_out: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """How it was taken back. `held_days`: whole days."""

    revoked_at: datetime
    held_days: int
    condition_in: str
    return_location: Ref | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """How an asset was lent. `reservation_id`: the reservation that this fulfilled."""

    checkout_id: int
    staff: StaffRef
    checked_out_at: datetime
    due_at: datetime
    purpose: str
    condition_out: str
    reservation_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """How it came back. `days_overdue`: whole days, 0 when it was late by less than one."""

    returned_at: datetime
    was_overdue: bool
    days_overdue: int
    condition_in: str
    return_location: Ref | None


def allocated(allocation: Allocation) -> dict[str, Any]:
    """asset.allocated."""
    return plain(allocation)


def revoked(allocation: Allocation, revocation: Revocation) -> dict[str, Any]:
    """asset.revoked."""
    return plain(allocation, revocation)


def checked_out(checkout: Checkout) -> dict[str, Any]:
    """asset.checked_out."""
    return plain(checkout)


def checked_in(checkout: Checkout, returned: Return) -> dict[str, Any]:
    """asset.checked_in."""
    return plain(checkout, returned)
