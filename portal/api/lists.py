"""Find rows, and answer with one of them or with a page."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import AwareDatetime, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from portal.api.operations import LARGEST_ID, Answer
from portal.lib.dates import IN_CALENDAR, is_in_calendar
from portal.lib.paging import CURSOR_LIMIT, PAGE_SIZE, Page
from portal.services.core.refusals import NotFound
from portal.services.core.unit_of_work import session

T = TypeVar("T")

MOST: Final = 200
Size = Annotated[int, Field(ge=1, le=MOST, description="The most items in the answer")]
After = Annotated[
    str | None,
    Field(max_length=CURSOR_LIMIT, description="“next” of the answer before"),
]
RowId = Annotated[int, Field(ge=1, le=LARGEST_ID)]


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


Moment = Annotated[AwareDatetime, BeforeValidator(_as_written)]
Text = Annotated[str, Field(max_length=400)]


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


def page_schema(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of a page of these items."""
    return {
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": {"type": "array", "items": item},
            "next": {
                "type": ["string", "null"],
                "description": "The “after” of the next page. Null on the last one",
            },
        },
    }


def page_example(item: Any) -> dict[str, Any]:
    """Return an example page with one item."""
    return {"items": [item], "next": None}
