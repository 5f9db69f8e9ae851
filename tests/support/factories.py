"""Create test data in the real database. The functions return plain values, never rows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any
from uuid import UUID

from argon2 import PasswordHasher

from portal.engine.events.body import ActorKind, AssetSnapshot, Origin
from portal.engine.events.catalogue import EventName
from portal.lib.clock import utcnow
from portal.models.assignments import Staff
from portal.models.people import Role, User
from portal.models.webhooks import Webhook, WebhookEvent
from portal.services.actions import lifecycle
from portal.services.assets import named_lists
from portal.services.assets.fields import AssetValues
from portal.services.core import vault
from portal.services.core.permissions import SYSTEM, Actor
from portal.services.core.unit_of_work import writing
from portal.services.outbox import publish as outbox_publish
from portal.services.outbox.publish import NewEvent
from portal.services.webhooks import watches

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "a long pass phrase"
NAMES = ("Ana", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gita", "Hugo")
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Person:
    """A user that a factory made, with the password that signs in."""

    id: int
    public_id: UUID
    name: str
    email: str
    role: str
    password: str

    @property
    def actor(self) -> Actor:
        """Return the person as the actor of a service's verb."""
        return Actor(ActorKind.USER, self.id, self.name, Origin.UI)


@lru_cache(maxsize=32)
def cheap_hash(password: str) -> str:
    """Hash a password at minimal cost."""
    return CHEAP.hash(password)


def make_user(role: str = Role.ADMIN, *, password: str = PASSWORD, **columns: Any) -> Person:
    """Create a user who can sign in. Makes up a missing name or email address."""
    number = next(_numbers)
    name = columns.pop("name", NAMES[number % len(NAMES)])
    email = columns.pop("email", f"{name.lower().replace(' ', '.')}.{number}@example.com")
    with writing() as current:
        columns.setdefault("password_hash", cheap_hash(password))
        user = User(name=name, email=email, role=role, **columns)
        current.add(user)
        current.flush()
        return Person(user.id, user.public_id, user.name, user.email, user.role, password)


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook that a factory made, with the secret that it signs with."""

    id: int
    public_id: UUID
    name: str
    url: str
    secret: str | None


def make_webhook(
    url: str = "https://receiver.example.com/hook",
    *,
    events: Iterable[str] = (EventName.CREATED,),
    secret: str | None = None,
    headers: Sequence[tuple[str, str]] = (),
    **columns: Any,
) -> Hook:
    """Create a webhook subscribed to `events`, on unless `state` says otherwise."""
    name = columns.pop("name", f"Receiver {next(_numbers)}")
    if columns.get("failures_in_row"):
        columns.setdefault("failing_since", utcnow())
    with writing() as current:
        webhook = Webhook(name=name, url=url, **columns)
        webhook.subscriptions = [WebhookEvent(event=event) for event in events]
        current.add(webhook)
        current.flush()
        watches.start_for_owner(current, webhook)
        if secret:
            webhook.secret_enc = vault.seal_secret(webhook.id, secret)
        if headers:
            webhook.headers_enc = vault.seal_headers(webhook.id, headers)
        return Hook(webhook.id, webhook.public_id, name, url, secret)


def publish(event: EventName = EventName.CREATED, *, asset_id: int = 7, note: str = "") -> int:
    """Store an event of an asset with its deliveries. Returns the event's row id."""
    with writing() as current:
        return outbox_publish.publish(current, new_event(event, asset_id, note)).event_id


def new_event(event: EventName, asset_id: int = 7, note: str = "") -> NewEvent:
    """Return an event of an asset, not stored."""
    now = utcnow()
    snapshot = AssetSnapshot(
        id=asset_id,
        asset_tag=f"AST-{asset_id:05}",
        name="Projector",
        kind="item",
        status="available",
        condition="good",
        version=1,
        created_at=now,
        updated_at=now,
    )
    return NewEvent(
        event=event, asset_id=asset_id, asset=snapshot, data={"note": note}, occurred_at=now
    )


def make_category(name: str = "Laptops") -> int:
    """Create a category and return its row id."""
    return _listed(named_lists.CATEGORIES, name)


def make_location(name: str = "Head office") -> int:
    """Create a location and return its row id."""
    return _listed(named_lists.LOCATIONS, name)


def _listed(kind: named_lists.NamedList, name: str) -> int:
    public_id = named_lists.create(kind, SYSTEM, name)
    row_id: int = named_lists.find(kind, public_id).id
    return row_id


def make_staff(name: str = "Maria Lopez", **columns: Any) -> int:
    """Create a staff member who can hold assets, and return the row id."""
    email = columns.pop("email", f"{name.lower().replace(' ', '.')}.{next(_numbers)}@example.com")
    with writing() as current:
        staff = Staff(name=name, email=email, **columns)
        current.add(staff)
        current.flush()
        return staff.id


def make_asset(name: str = "ThinkPad T14", *, by: Actor = SYSTEM, **values: Any) -> int:
    """Create an asset through the service, which stores its event too. Returns its id."""
    return lifecycle.create_asset(by, AssetValues(name=name, **values))
