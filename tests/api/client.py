"""An API client for tests, which sends requests with a token."""

from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from portal.models.people import Role
from portal.services.people import tokens
from tests.support.factories import make_user

ROOT = "/api/v1"


class Program:
    """A client that sends `token`, or no token if it is blank."""

    def __init__(self, app: Flask, token: str = "") -> None:
        self.client = app.test_client(use_cookies=False)
        self.token = token

    def ask(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, **more: Any
    ) -> TestResponse:
        """Send a request below /api/v1."""
        authorization = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return self.client.open(
            f"{ROOT}{path}", method=method, headers=authorization | (headers or {}), **more
        )

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.ask("GET", path, **more)

    def done(self, method: str, path: str, *, status: int = 200, **more: Any) -> dict[str, Any]:
        """Send a request, assert its status, and return the JSON of the response."""
        response = self.ask(method, path, **more)
        assert response.status_code == status, response.get_data(as_text=True)
        return dict(response.get_json())

    def made(self, path: str, **values: Any) -> dict[str, Any]:
        """Create a resource and return its JSON."""
        return self.done("POST", path, status=201, json=values)

    def items(self, path: str) -> list[dict[str, Any]]:
        return list(self.done("GET", path)["items"])


def program(app: Flask, role: Role = Role.ADMIN, *, read_only: bool = False) -> Program:
    """Return a client with a new token of this role."""
    by = make_user()
    name = f"Program {by.id}"
    _, token = tokens.create(by.actor, name, role, read_only=read_only, days=30)
    return Program(app, token)
