"""Things that tests need, made in the real database. Each returns plain values, never a row."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any
from uuid import UUID

from argon2 import PasswordHasher

from portal.delivery.payload import ActorKind, Origin
from portal.models.people import Role, User
from portal.services.permissions import Actor
from portal.services.unit import writing

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
        """The person as the actor of a service's verb."""
        return Actor(ActorKind.USER, self.id, self.name, Origin.UI)


@lru_cache(maxsize=32)
def _cheap_hash(password: str) -> str:
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(password)


def make_user(role: str = Role.ADMIN, *, password: str = PASSWORD, **columns: Any) -> Person:
    """A user who can sign in; name and e-mail address are made up where not given."""
    number = next(_numbers)
    name = columns.pop("name", NAMES[number % len(NAMES)])
    email = columns.pop("email", f"{name.lower().replace(' ', '.')}.{number}@example.com")
    with writing() as current:
        user = User(
            name=name, email=email, role=role, password_hash=_cheap_hash(password), **columns
        )
        current.add(user)
        current.flush()
        return Person(user.id, user.public_id, user.name, user.email, user.role, password)
