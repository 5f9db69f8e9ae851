"""Find rows, and answer with one of them or with a page."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from portal.api.operations import LARGEST_ID, Answer
from portal.api.schemas import NOT_BLANK
from portal.engine.events.catalogue import EventName
from portal.engine.events.likely import unknown_event
from portal.lib.dates import IN_CALENDAR, is_in_calendar
from portal.lib.paging import CURSOR_LIMIT, PAGE_SIZE, Page
from portal.lib.typed_text import tidy
from portal.services.core.refusals import NotFound
from portal.services.core.unit_of_work import session

T = TypeVar("T")

MOST: Final = 200


def _as_whole(value: Any) -> Any:
    """Take 5.0 for 5, as JSON Schema does."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE: Final = BeforeValidator(_as_whole)
Size = Annotated[int, Field(ge=1, le=MOST, description="The maximum number of items"), WHOLE]
After = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=CURSOR_LIMIT,
        pattern="^[A-Za-z0-9_-]+$",
        description="The “next” of the previous response",
    ),
]
RowId = Annotated[int, Field(ge=1, le=LARGEST_ID), WHOLE]


def _as_written(value: Any) -> datetime:
    """Parse a time. Pydantic alone would also accept a number of seconds since 1970."""
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        at = None
    if at is None or not at.tzinfo:
        raise PydanticCustomError("time", "Write a time as 2026-11-30T09:15:00Z")
    if not is_in_calendar(at):
        raise PydanticCustomError("time", f"Write a time {IN_CALENDAR}")
    return at


def event_named(value: Any) -> EventName:
    """Return the event with this name. Raises `PydanticCustomError` with likely ones."""
    try:
        return EventName(value)
    except ValueError:
        raise PydanticCustomError(
            "event", "{words}", {"words": unknown_event(str(value))}
        ) from None


def _as_filter(text: str) -> str:
    """Refuse an empty filter. It would match everything, which a program rarely means."""
    if tidy(text):
        return text
    raise PydanticCustomError("text", "Give a value or leave it out")


def _as_amount(value: Any) -> Decimal:
    """Refuse a number, which other programs round, and the rarer spellings of `Decimal`."""
    if isinstance(value, str) and _AMOUNT.fullmatch(value):
        return Decimal(value)
    raise PydanticCustomError("amount", 'Write an amount as a string, such as "1249.00"')


_AMOUNT: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)
Moment = Annotated[AwareDatetime, BeforeValidator(_as_written)]
Text = Annotated[
    str,
    Field(max_length=400, json_schema_extra={"minLength": 1, "pattern": NOT_BLANK}),
    AfterValidator(_as_filter),
]
Amount = Annotated[
    Decimal,
    BeforeValidator(_as_amount),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,10}(\.[0-9]{1,2})?$"}),
]
Event = Annotated[EventName, PlainValidator(event_named, json_schema_input_type=EventName)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """Query parameters of every list."""

    after: After = None
    limit: Size = PAGE_SIZE


def find_row(model: type[T], row_id: int, missing: str) -> T:
    """Return the row with this ID. Raises `NotFound` with the sentence `missing`."""
    row = session().get(model, row_id)
    if row is None:
        raise NotFound(missing)
    return row


def from_row(kind: type[T], row: object, **others: Any) -> T:
    """Build a dataclass from `others` and from the row's attributes of the same names."""
    names = {field.name for field in fields(kind)} - others.keys()  # type: ignore[arg-type]  # it is a dataclass
    return kind(**{name: getattr(row, name) for name in names}, **others)


def page_answer(page: Page[Any], items: Iterable[Any]) -> Answer:
    """Return one page as an answer."""
    return Answer({"items": list(items), "next": page.older})


def page_example(item: Any) -> dict[str, Any]:
    """Return an example page with one item."""
    return {"items": [item], "next": None}
