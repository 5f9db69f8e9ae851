"""Define operations of the API. Routes, OpenAPI, and the reference page are made from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from portal.services.core.permissions import Actor
from portal.services.people.tokens import Program

ANY_TOKEN: Final = "any"  # noqa: S105 - a permission
# Flask’s converter for IDs that are numbers.
ID: Final = "int"
LARGEST_ID: Final = 2**31 - 1  # of an INTEGER column


@dataclass(frozen=True, slots=True)
class Call:
    """An authenticated request. `query` and `body` are instances of the operation’s types.

    `version`: the version in If-Match, if any.
    """

    program: Program
    query: Any = None
    body: Any = None
    version: int | None = None

    @property
    def actor(self) -> Actor:
        """Return the program as an actor."""
        return self.program.actor


@dataclass(frozen=True, slots=True)
class Answer:
    """A value that `engine/events/body.py` can encode. `version` becomes the ETag."""

    value: Any
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """The path values of a created or changed resource.

    `once`: fields that only this answer has, such as a generated secret. A repeat lacks them.
    """

    path: Mapping[str, object]
    once: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation.

    `name`: its operationId. `path`: a Flask rule below /api/v1. `permission`: the token
    needs it, or `ANY_TOKEN`. `query` and `body`: dataclasses that validate the request. `run`
    returns an `Answer`, or a `Made` if the operation in `shows` renders the result. `answers`: the
    type of the answer, with an `example`; not needed with `shows`. `problems`:
    status codes beside those of every operation. `shows_secret`: the answer can have a `secret`.
    """

    name: str
    method: str
    path: str
    summary: str
    permission: str
    run: Callable[..., Any]
    shows: "Operation | None" = None
    answers: Any = None
    example: Any = None
    query: type | None = None
    body: type | None = None
    status: int = 200
    problems: tuple[int, ...] = ()
    shows_secret: bool = False
