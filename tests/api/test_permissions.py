"""Tests that each operation refuses every token without its permission."""

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
    """Return the operation's path with ids that don't exist."""
    path = operation.path.replace("<event>", "asset.created")
    parts = (
        "999" if part.startswith("<int") else NOBODY for part in path.split("/") if "<" in part
    )
    return "/".join(next(parts) if "<" in part else part for part in path.split("/"))


def allows(operation: Operation, role: Role, *, read_only: bool) -> bool:
    if operation.permission == ANY_TOKEN:
        return True
    reads = operation.permission.endswith(".read") or operation.permission == "deliveries.content"
    return role in PERMISSIONS[operation.permission] and (reads or not read_only)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("read_only", [False, True])
def test_a_token_has_exactly_the_permissions_of_its_role(
    app: Flask, role: Role, read_only: bool
) -> None:
    at = program(app, role, read_only=read_only)
    for operation in OPERATIONS:
        sent = {} if operation.body is None else {"json": {}}
        code = at.ask(operation.method, address(operation), **sent).status_code
        expected = allows(operation, role, read_only=read_only)
        assert (code != 403) is expected, f"{operation.name}: {code}"
        assert code < 500, operation.name


def test_every_operation_needs_a_token(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "wrong_a_minute", lambda _most: len(OPERATIONS) + 1)
    monkeypatch.setattr(views, "_wrong", Rate())
    for operation in OPERATIONS:
        response = Program(app).ask(operation.method, address(operation))
        assert response.status_code == 401, operation.name
