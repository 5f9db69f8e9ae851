"""Exceptions by which a service refuses, with one sentence for a person and the field concerned."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one field, with a sentence on how to fix it."""

    field: str
    sentence: str


class Refusal(Exception):
    """A refused change. `sentence` names the obstacle and the way out.

    `faults`: all faults of fields. `sentence` and `field` are those of the first.
    """

    status = 409

    def __init__(
        self, sentence: str, *, field: str | None = None, faults: Sequence[Fault] = ()
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.field = field
        self.faults = faults or ([] if field is None else [Fault(field, sentence)])


class NotFound(Refusal):
    """The object does not exist, or this person is not allowed to know of it."""

    status = 404


class NotAllowed(Refusal):
    """The person's role does not allow this."""

    status = 403


class Stale(Refusal):
    """Somebody else has changed the object since the form was opened."""


def refuse_all(faults: Iterable[Fault]) -> None:
    """Raise one `Refusal` for all of these faults, if there are any."""
    all_faults = list(faults)
    if all_faults:
        raise Refusal(all_faults[0].sentence, field=all_faults[0].field, faults=all_faults)
