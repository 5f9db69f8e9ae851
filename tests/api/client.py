"""A program with a token, at the application as the web server runs it."""

from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from portal.models.people import Role
from portal.services.people import tokens
from tests.support.factories import make_user

ROOT = "/api/v1"


class Program:
    """Asks with `token`; without one where it is blank."""

    def __init__(self, app: Flask, token: str = "") -> None:
        self.client = app.test_client(use_cookies=False)
        self.token = token

    def ask(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> TestResponse:
        """Send a request below /api/v1."""
        given = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return self.client.open(
            f"{ROOT}{path}", method=method, headers=given | (headers or {}), **more
        )

    def get(self, path: str, **more: Any) -> TestResponse:
        """GET, for short."""
        return self.ask("GET", path, **more)

    def done(self, method: str, path: str, *, status: int = 200, **more: Any) -> dict[str, Any]:
        """Send a request that succeeds; return its JSON."""
        answer = self.ask(method, path, **more)
        assert answer.status_code == status, answer.get_data(as_text=True)
        return dict(answer.get_json())

    def made(self, path: str, **values: Any) -> dict[str, Any]:
        """Create a resource; return its JSON."""
        return self.done("POST", path, status=201, json=values)

    def items(self, path: str) -> list[dict[str, Any]]:
        """Return the items of a list."""
        return list(self.done("GET", path)["items"])


def program(app: Flask, role: Role = Role.ADMIN, *, read_only: bool = False) -> Program:
    """A program with a new token of this role."""
    by = make_user()
    name = f"Program {by.id}"
    _, token = tokens.create(by.actor, name, role, read_only=read_only, days=30)
    return Program(app, token)
