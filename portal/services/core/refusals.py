"""Exceptions by which a service says no: one sentence for a person, and the field it is about."""


class Refusal(Exception):
    """The change was not made. `sentence` says what stands in the way and the way out."""

    status = 409

    def __init__(self, sentence: str, *, field: str | None = None) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.field = field


class NotFound(Refusal):
    """There is no such thing, or this person may not know of it."""

    status = 404


class NotAllowed(Refusal):
    """The person's role does not allow it."""

    status = 403


class Stale(Refusal):
    """Somebody else changed it since the form was opened."""
