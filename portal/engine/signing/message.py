"""What was signed, and with which keys: all that a pasted signature is compared with."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Age(StrEnum):
    """Which of two keys, while a replaced one overlaps with its successor."""

    ONLY = ""
    EARLIER = "earlier"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Message:
    """A delivery as it was signed. `stamps`: (number, unix seconds) of each attempt.

    `secret` makes the house signature; `next_secret` replaces it once the overlap is over. `sent`:
    (number, signature) of each attempt, by whichever key there was then. `others`: (id, signature)
    of other deliveries to the same webhook.
    """

    body: bytes
    id: str
    stamps: Sequence[tuple[int, int]] = ()
    secret: str | None = field(default=None, repr=False)
    next_secret: str | None = field(default=None, repr=False)
    sent: Sequence[tuple[int, str]] = field(default=(), repr=False)
    others: Sequence[tuple[str, str]] = field(default=(), repr=False)

    @property
    def secrets(self) -> Iterator[tuple[Age, str]]:
        """The keys that sign now, the one that makes the house signature first."""
        if self.secret:
            yield (Age.EARLIER if self.next_secret else Age.ONLY), self.secret
        if self.next_secret:
            yield Age.NEW, self.next_secret

    @property
    def newest_first(self) -> Sequence[tuple[int, int]]:
        """The stamps, that of the newest attempt first."""
        return sorted(self.stamps, reverse=True)

    def standard_content(self, sent_at: int) -> bytes:
        """What Standard Webhooks signs."""
        return f"{self.id}.{sent_at}.".encode() + self.body
