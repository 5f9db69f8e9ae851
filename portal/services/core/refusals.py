"""Exceptions by which a service says no: one sentence for a person, and the field it is about."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of one field, in words that say what to change."""

    field: str
    sentence: str


class Refusal(Exception):
    """The change was not made. `sentence` says what stands in the way and the way out.

    `faults`: everything that is wrong with fields; of them `sentence` and `field` are the first.
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
    """There is no such thing, or this person may not know of it."""

    status = 404


class NotAllowed(Refusal):
    """The person's role does not allow it."""

    status = 403


class Stale(Refusal):
    """Somebody else changed it since the form was opened."""


def refuse_all(faults: Iterable[Fault]) -> None:
    """Refuse for all of these faults, each at its field."""
    found = list(faults)
    if found:
        raise Refusal(found[0].sentence, field=found[0].field, faults=found)
