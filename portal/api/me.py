"""Show a program its own token."""

from dataclasses import dataclass
from datetime import datetime

from portal.api.operations import ANY_TOKEN, Answer, Call, Operation


@dataclass(frozen=True, slots=True)
class Token:
    """The token that the request was made with."""

    name: str
    role: str
    read_only: bool
    ends_at: datetime | None


def _show(call: Call) -> Answer:
    program = call.program
    return Answer(Token(program.actor.name, program.role, program.read_only, program.ends_at))


OPERATIONS = (
    Operation(
        name="showToken",
        method="GET",
        path="/me",
        summary="Show the name, role, and end of this token",
        permission=ANY_TOKEN,
        run=_show,
        answers=Token,
        example={
            "name": "MDM",
            "role": "manager",
            "read_only": False,
            "ends_at": "2027-11-30T12:00:00+00:00",
        },
    ),
)
