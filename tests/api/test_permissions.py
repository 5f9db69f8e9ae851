"""Each operation with each kind of token: what its permission doesn't allow is refused."""

from uuid import uuid4

import pytest
from flask import Flask

from portal.api import OPERATIONS, load, views
from portal.api.load import Rate
from portal.api.operations import ANY_TOKEN, Operation
from portal.models.people import Role
from portal.services.core.permissions import PERMISSIONS
from tests.api.client import Program, program

NOBODY = str(uuid4())


def address(operation: Operation) -> str:
    """The operation's URL, about nothing that there is."""
    path = operation.path.replace("<event>", "asset.created")
    parts = (
        "999" if each.startswith("<int") else NOBODY for each in path.split("/") if "<" in each
    )
    return "/".join(next(parts) if "<" in each else each for each in path.split("/"))


def allows(operation: Operation, role: Role, *, read_only: bool) -> bool:
    if operation.permission == ANY_TOKEN:
        return True
    reads = operation.permission.endswith(".read") or operation.permission == "deliveries.content"
    return role in PERMISSIONS[operation.permission] and (reads or not read_only)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("read_only", [False, True])
def test_a_token_can_do_what_its_role_can_and_no_more(
    app: Flask, role: Role, read_only: bool
) -> None:
    at = program(app, role, read_only=read_only)
    for operation in OPERATIONS:
        sent = {} if operation.body is None else {"json": {}}
        code = at.ask(operation.method, address(operation), **sent).status_code
        expected = allows(operation, role, read_only=read_only)
        assert (code != 403) is expected, f"{operation.name}: {code}"
        assert code < 500, operation.name


def test_without_a_token_nothing_is_done(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "WRONG_A_MINUTE", len(OPERATIONS) + 1)
    monkeypatch.setattr(views, "_wrong", Rate())
    for operation in OPERATIONS:
        answer = Program(app).ask(operation.method, address(operation))
        assert answer.status_code == 401, operation.name
