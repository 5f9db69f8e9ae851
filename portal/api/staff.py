"""Staff: the people who can hold assets."""

from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field

from portal.api.lists import (
    Paging,
    Text,
    find_row,
    from_row,
    page_answer,
    page_example,
)
from portal.api.operations import ID, Answer, Call, Made, Operation
from portal.api.reading import given, partial
from portal.api.schemas import Listed, Paged, limited
from portal.models.assignments import Staff
from portal.services.assets import staff as services
from portal.services.assets.staff import StaffFilter, StaffValues
from portal.services.core.unit_of_work import writing

PERSON: Final = f"/staff/<{ID}:staff_id>"
READ: Final = "assets.read"
EDIT: Final = "assets.edit"
Email = Annotated[str, Field(json_schema_extra={"format": "email"})]


@dataclass(frozen=True, slots=True)
class Person:
    """A member of staff. Someone who has left isn’t active and can’t get assets."""

    id: int
    name: str
    email: str
    employee_no: str | None
    department: str | None
    phone: str | None
    is_active: bool
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffQuery(Paging):
    """Filters for staff. `q` searches names, email addresses, departments, and employee numbers."""

    q: Text = ""
    email: Text = ""
    is_active: bool | None = None


@limited(services.LENGTHS.get)
@dataclass(frozen=True, slots=True, kw_only=True)
class PersonBody(StaffValues):
    """A new person on the staff list."""

    email: Email


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonChange(PersonBody):
    """The fields of a person that can be changed."""

    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Holding:
    """An asset that someone has now."""

    asset_id: int
    asset_tag: str
    name: str
    status: str


PersonPatch: Final = partial(PersonChange)


def find(staff_id: int) -> Staff:
    """Return a person by ID. Raises `NotFound`."""
    return find_row(Staff, staff_id, "There’s no one with this ID on the staff list.")


def _answer(row: Staff) -> Person:
    return from_row(Person, row)


def _list(call: Call) -> Answer:
    asked: StaffQuery = call.query
    chosen = StaffFilter(search=asked.q, email=asked.email, is_active=asked.is_active)
    page = services.find_page(chosen, asked.after, asked.limit)
    return page_answer(page, map(_answer, page.rows))


def _show(_call: Call, staff_id: int) -> Answer:
    row = find(staff_id)
    return Answer(_answer(row), row.version)


def _create(call: Call) -> Made:
    public_id = services.create(call.actor, call.body)
    return Made({"staff_id": services.find(public_id).id})


def _edit(call: Call, staff_id: int) -> Made:
    fields = given(call.body)
    is_active = fields.pop("is_active", None)
    public_id = find(staff_id).public_id
    with writing():
        if fields or call.version is not None:
            services.edit_fields(call.actor, public_id, fields, call.version)
        if is_active is not None:
            switch = services.reactivate if is_active else services.deactivate
            switch(call.actor, public_id)
    return Made({"staff_id": staff_id})


def _assets(_call: Call, staff_id: int) -> Answer:
    held = services.holdings_of(find(staff_id).id)
    items = [Holding(row.id, row.asset_tag, row.name, row.status) for row in held]
    return Answer({"items": items})


EXAMPLE: Final = {
    "id": 17,
    "name": "Maria Lopez",
    "email": "maria.lopez@example.com",
    "employee_no": "E-1017",
    "department": "Sales",
    "phone": None,
    "is_active": True,
    "version": 1,
}
SHOW: Final = Operation(
    name="showStaff",
    method="GET",
    path=PERSON,
    summary="Show a member of staff",
    permission=READ,
    run=_show,
    answers=Person,
    example=EXAMPLE,
    problems=(404,),
)
OPERATIONS: Final = (
    Operation(
        name="listStaff",
        method="GET",
        path="/staff",
        summary="List staff, newest first",
        permission=READ,
        run=_list,
        query=StaffQuery,
        answers=Paged[Person],
        example=page_example(EXAMPLE),
        problems=(400,),
    ),
    Operation(
        name="createStaff",
        method="POST",
        path="/staff",
        summary="Add a member of staff",
        permission=EDIT,
        run=_create,
        shows=SHOW,
        body=PersonBody,
        status=201,
    ),
    SHOW,
    Operation(
        name="updateStaff",
        method="PATCH",
        path=PERSON,
        summary="Change a member of staff. If is_active is false, the person has left",
        permission=EDIT,
        run=_edit,
        shows=SHOW,
        body=PersonPatch,
        problems=(404, 409, 412),
    ),
    Operation(
        name="listStaffAssets",
        method="GET",
        path=f"{PERSON}/assets",
        summary="List the assets that a person has now",
        permission=READ,
        run=_assets,
        answers=Listed[Holding],
        example={
            "items": [
                {
                    "asset_id": 123,
                    "asset_tag": "AST-00123",
                    "name": "ThinkPad T14",
                    "status": "checked_out",
                }
            ]
        },
        problems=(404,),
    ),
)
