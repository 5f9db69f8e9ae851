"""Lists: a page of them, and the cursor of the next one."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from portal.api.operations import LARGEST_ID, Answer
from portal.lib.paging import CURSOR_LIMIT, PAGE_SIZE, Page

MOST: Final = 200
Size = Annotated[int, Field(ge=1, le=MOST, description="The most items in the answer")]
After = Annotated[
    str | None,
    Field(max_length=CURSOR_LIMIT, description="“next” of the answer before"),
]
RowId = Annotated[int, Field(ge=1, le=LARGEST_ID)]


def _as_written(value: Any) -> datetime:
    """Read a time. Takes no number for one, which pydantic would count from 1970."""
    with suppress(TypeError, ValueError):
        at = datetime.fromisoformat(value)
        if at.tzinfo:
            return at
    raise PydanticCustomError("time", "Write a time as 2026-11-30T09:15:00Z")


Moment = Annotated[AwareDatetime, BeforeValidator(_as_written)]
Text = Annotated[str, Field(max_length=400)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """The query of every list."""

    after: After = None
    limit: Size = PAGE_SIZE


def page_answer(page: Page[Any], items: Iterable[Any]) -> Answer:
    """Return the answer of a list."""
    return Answer({"items": list(items), "next": page.older})


def page_schema(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of a list of such items."""
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
    """Return an example of such a list."""
    return {"items": [item], "next": None}
