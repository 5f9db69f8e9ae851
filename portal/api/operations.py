"""An operation of the API: what it needs, reads, and answers. The reference is made of these."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from portal.services.core.permissions import Actor
from portal.services.people.tokens import Program

ANY_TOKEN: Final = "any"  # noqa: S105 - a permission
# Of what has a number on the wire, in Flask's spelling.
ID: Final = "int"
LARGEST_ID: Final = 2**31 - 1  # what its column takes


@dataclass(frozen=True, slots=True)
class Call:
    """A request that came through the door. `query`, `body`: as the operation's types read them.

    `version`: the one that If-Match asks for; None where it does not matter.
    """

    program: Program
    query: Any = None
    body: Any = None
    version: int | None = None

    @property
    def actor(self) -> Actor:
        """The program, as the verbs of the services know it."""
        return self.program.actor


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation answers, as `engine/events/body.py` encodes it. `version`: its ETag."""

    value: Any
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """What a verb made or changed: the values of the path at which it is shown.

    `once`: what the answer has beside that, and no later one, a repeat neither.
    """

    path: Mapping[str, object]
    once: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation.

    `name`: its operationId. `path`: below /api/v1, in Flask's spelling. `permission`: what its
    token must allow, or `ANY_TOKEN`. `query`, `body`: types that say what it reads. `run` returns
    an `Answer`; what `Made` of a verb, where another operation `shows` that. `answers`: a dataclass
    or a JSON Schema of what it answers, and `example` one of them; those of `shows` where it has
    none. `problems`: the codes that it has beside those of the door. `shows_secret`: its answer may
    have a `secret`, which no other has.
    """

    name: str
    method: str
    path: str
    summary: str
    permission: str
    run: Callable[..., Any]
    shows: "Operation | None" = None
    answers: type | Mapping[str, Any] = field(default_factory=dict)
    example: Any = None
    query: type | None = None
    body: type | None = None
    status: int = 200
    problems: tuple[int, ...] = ()
    shows_secret: bool = False
