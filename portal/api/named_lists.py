"""Categories and locations."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from portal.api.lists import (
    Paging,
    Text,
    find_row,
    from_row,
    page_answer,
    page_example,
)
from portal.api.operations import ID, Answer, Call, Made, Operation
from portal.api.schemas import Paged, limited
from portal.models.assets import Category, Location
from portal.services.assets import named_lists as services
from portal.services.assets.named_lists import CATEGORIES, LOCATIONS, LONGEST_NAME, NamedList
from portal.services.core.refusals import Stale
from portal.services.core.unit_of_work import writing

READ: Final = "assets.read"
EDIT: Final = "assets.edit"


@dataclass(frozen=True, slots=True)
class Named:
    """A category or a location."""

    id: int
    name: str
    version: int


class CategoryAnswer(Named):
    """A category."""


class LocationAnswer(Named):
    """A location."""


ANSWERS: Final[dict[NamedList, tuple[type[Named], Any]]] = {
    CATEGORIES: (CategoryAnswer, Paged[CategoryAnswer]),
    LOCATIONS: (LocationAnswer, Paged[LocationAnswer]),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NameQuery(Paging):
    """Filter by the whole name, in upper or lower case."""

    name: Text = ""


@limited(lambda _name: LONGEST_NAME)
@dataclass(frozen=True, slots=True, kw_only=True)
class NameBody:
    """The name of a category or a location."""

    name: str


def _operations(kind: NamedList, example: str) -> Iterator[Operation]:
    """Yield the operations on categories or on locations."""
    model: type[Category] | type[Location] = kind.model
    path = f"/{kind.many}/<{ID}:row_id>"
    kept, page = ANSWERS[kind]
    title, many = kind.one.capitalize(), kind.many.capitalize()

    def find(row_id: int) -> Any:
        return find_row(model, row_id, f"There’s no {kind.one} with this ID.")

    def answer(row: Any) -> Named:
        return from_row(kept, row)

    def list_(call: Call) -> Answer:
        page = services.find_page(kind, call.query.name, call.query.after, call.query.limit)
        return page_answer(page, map(answer, page.rows))

    def show(_call: Call, row_id: int) -> Answer:
        row = find(row_id)
        return Answer(answer(row), row.version)

    def create(call: Call) -> Made:
        public_id = services.create(kind, call.actor, call.body.name)
        return Made({"row_id": services.find(kind, public_id).id})

    def rename(call: Call, row_id: int) -> Made:
        public_id = find(row_id).public_id
        services.rename(kind, call.actor, public_id, call.version, call.body.name)
        return Made({"row_id": row_id})

    def delete(call: Call, row_id: int) -> Answer:
        public_id = find(row_id).public_id
        with writing():
            found = services.find(kind, public_id, locked=True)
            if call.version not in (None, found.version):
                raise Stale(f"This {kind.one} changed after you read it.")
            services.delete(kind, call.actor, public_id)
        return Answer(None)

    item = {"id": 3, "name": example, "version": 1}
    shown = Operation(
        name=f"show{title}",
        method="GET",
        path=path,
        summary=f"Show a {kind.one}",
        permission=READ,
        run=show,
        answers=kept,
        example=item,
        problems=(404,),
    )
    yield shown
    yield Operation(
        name=f"list{many}",
        method="GET",
        path=f"/{kind.many}",
        summary=f"List {kind.many}, newest first",
        permission=READ,
        run=list_,
        query=NameQuery,
        answers=page,
        example=page_example(item),
        problems=(400,),
    )
    yield Operation(
        name=f"create{title}",
        method="POST",
        path=f"/{kind.many}",
        summary=f"Add a {kind.one}",
        permission=EDIT,
        run=create,
        shows=shown,
        body=NameBody,
        status=201,
    )
    yield Operation(
        name=f"update{title}",
        method="PATCH",
        path=path,
        summary=f"Rename a {kind.one}",
        permission=EDIT,
        run=rename,
        shows=shown,
        body=NameBody,
        problems=(404, 409, 412),
    )
    yield Operation(
        name=f"delete{title}",
        method="DELETE",
        path=path,
        summary=f"Delete a {kind.one} that no asset uses",
        permission=EDIT,
        run=delete,
        status=204,
        problems=(404, 409, 412),
    )


OPERATIONS: Final = (
    *_operations(CATEGORIES, "Laptops"),
    *_operations(LOCATIONS, "Head office, room 204"),
)
