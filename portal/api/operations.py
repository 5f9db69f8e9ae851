"""An operation of the API: what it needs, reads, and answers. The reference is made of these."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from portal.services.people.tokens import Program

ANY_TOKEN: Final = "any"  # noqa: S105 - a permission


@dataclass(frozen=True, slots=True)
class Call:
    """A request that came through the door. `query`, `body`: as the operation's types read them."""

    program: Program
    query: Any = None
    body: Any = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation answers, as `engine/events/body.py` encodes it."""

    value: Any
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation.

    `name`: its operationId. `path`: below /api/v1, in Flask's spelling. `permission`: what its
    token must allow, or `ANY_TOKEN`. `query`, `body`: dataclasses that say what it reads.
    `answers`: the dataclass of what it answers, and `example` one of them. `problems`: the codes
    that it has beside those of the door.
    """

    name: str
    method: str
    path: str
    summary: str
    permission: str
    run: Callable[..., Answer]
    answers: type
    example: Mapping[str, Any]
    query: type | None = None
    body: type | None = None
    status: int = 200
    problems: tuple[int, ...] = ()
