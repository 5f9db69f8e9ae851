"""The small world of the sample payloads: fixed people, places and assets; and one case in it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from portal.engine.events.body import Actor, ActorKind, AssetSnapshot, Holder, Origin, Ref

NOW: Final = datetime(2025, 2, 4, 12, 0, tzinfo=UTC)
BEFORE: Final = datetime(2025, 1, 20, 8, 30, tzinfo=UTC)
DUE: Final = datetime(2025, 2, 7, 16, 0, tzinfo=UTC)

ANA: Final = Actor(ActorKind.USER, 2, "Ana Novak")
THE_CLOCK: Final = Actor(ActorKind.SYSTEM, None, "Asset register")

MARIA: Final[dict[str, Any]] = {
    "id": 17,
    "name": "Maria Lopez",
    "email": "maria.lopez@example.com",
}
TECHNICIAN: Final = Ref(9, "Jonas Berg")
OFFICE: Final = Ref(3, "Head office, room 204")
STORE: Final = Ref(5, "Central store")

LAPTOP: Final = AssetSnapshot(
    id=123,
    asset_tag="AST-00123",
    name="ThinkPad T14",
    kind="item",
    category=Ref(1, "Laptops"),
    manufacturer="Lenovo",
    model="T14 Gen 4",
    serial_number="PF4X9Z2K",
    status="available",
    condition="good",
    location=OFFICE,
    supplier="Northwind IT",
    order_number="PO-2024-0117",
    purchase_date=date(2024, 2, 26),
    purchase_cost=Decimal("1249.00"),
    currency="EUR",
    warranty_expires=date(2025, 2, 26),
    version=4,
    created_at=datetime(2024, 2, 28, 9, 15, tzinfo=UTC),
    updated_at=NOW,
)
TONER: Final = AssetSnapshot(
    id=208,
    asset_tag="AST-00208",
    name="Toner cartridge, black",
    kind="stock",
    category=Ref(4, "Printer supplies"),
    manufacturer="Brother",
    model="TN-2420",
    status="available",
    condition="excellent",
    location=STORE,
    supplier="Northwind IT",
    currency="EUR",
    quantity=3,
    min_quantity=5,
    unit="piece",
    version=12,
    created_at=datetime(2024, 3, 4, 10, 0, tzinfo=UTC),
    updated_at=NOW,
)
MAINTENANCE: Final[dict[str, Any]] = {
    "maintenance_id": 77,
    "title": "Yearly battery check",
    "type": "inspection",
    "due_on": date(2025, 2, 10),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One case: the asset after it, its move from status to status, and what `data` adds."""

    asset: AssetSnapshot
    moved: tuple[str | None, str | None] = ("available", "available")
    details: Mapping[str, object]
    note: str = ""
    actor: Actor = ANA
    origin: Origin = Origin.UI


def laptop(status: str, due_at: datetime | None = None) -> AssetSnapshot:
    """The laptop in another status; with Maria while that status means a holder."""
    held = status in {"allocated", "checked_out"}
    return replace(LAPTOP, status=status, holder=Holder(**MARIA, due_at=due_at) if held else None)
