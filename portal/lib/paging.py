"""Keyset pages. The next page starts where this one ended, regardless of new rows."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

PAGE_SIZE: Final = 50
CURSOR_LIMIT: Final = 1000  # characters. Our cursors are shorter.
_LARGEST_INT: Final = 2**63 - 2  # this and the next number fit into a database column

T = TypeVar("T")
Key = tuple[int | str, ...]
Shape = tuple[type[int] | type[str], ...]


class UnreadableCursor(ValueError):
    """A cursor from a truncated or edited URL, whose place in the list is unknown."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place between two rows: the sort key of the row beside it, and the reading direction."""

    key: Key
    newer: bool = False

    def encode(self) -> str:
        """Return the cursor as an opaque word for a URL."""
        # Letters aren't escaped. Otherwise, the longest names would exceed CURSOR_LIMIT.
        parts = [int(self.newer), *self.key]
        text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str | None, shape: Shape = (int,)) -> "Cursor | None":
        """Parse a cursor whose key has the types of `shape`. No text means None, the first page.

        The result is safe to compare with a column, even if the URL was edited, truncated, or
        attacked. Raises `UnreadableCursor`.
        """
        if not text:
            return None
        way, *key = _parsed(text) or (None,)
        fits = len(key) == len(shape) and all(map(_fits, key, shape))
        if not fits or type(way) is not int or way not in (0, 1):
            raise UnreadableCursor
        return cls(tuple(key), newer=bool(way))


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows, newest first, and the cursors of the adjacent pages, None without one."""

    rows: Sequence[T]
    newer: str | None = None
    older: str | None = None


def page_of(
    rows: Sequence[T], cursor: Cursor | None, key: Callable[[T], Key], size: int
) -> Page[T]:
    """Make a page of at most `size` rows from up to `size + 1` rows that were read for `cursor`.

    The rows are in reading order, away from the cursor, so the oldest is first if it reads `newer`.
    An empty page that reads `newer` has no adjacent page. Show the first page instead.
    """
    more = len(rows) > size
    rows = rows[:size]
    if not rows:
        return Page(rows)
    backwards = cursor is not None and cursor.newer
    if backwards:
        rows = rows[::-1]
    has_newer = more if backwards else cursor is not None
    has_older = backwards or more
    return Page(
        rows,
        newer=Cursor(key(rows[0]), newer=True).encode() if has_newer else None,
        older=Cursor(key(rows[-1])).encode() if has_older else None,
    )


def _parsed(text: str) -> list[Any] | None:
    if len(text) > CURSOR_LIMIT:
        return None
    try:
        parsed = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
    except (ValueError, RecursionError):  # not ASCII, base64, UTF-8 or JSON
        return None
    return parsed if isinstance(parsed, list) else None


def _fits(part: object, kind: type[int] | type[str]) -> bool:
    if kind is int:  # isinstance accepts a bool, which is never a key
        return type(part) is int and abs(part) <= _LARGEST_INT
    # PostgreSQL refuses a query with a NUL or a lone surrogate.
    return isinstance(part, str) and "\0" not in part and _encodes(part)


def _encodes(part: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in part)
