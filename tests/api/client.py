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

    def made(self, path: str, **values: Any) -> dict[str, Any]:
        """What a POST of these values made."""
        answer = self.ask("POST", path, json=values)
        assert answer.status_code == 201, answer.get_data(as_text=True)
        assert answer.json is not None
        return dict(answer.json)

    def items(self, path: str) -> list[dict[str, Any]]:
        """The items of a list."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        assert answer.json is not None
        return list(answer.json["items"])


def program(app: Flask, role: Role = Role.ADMIN, *, read_only: bool = False) -> Program:
    """A program with a new token of this role."""
    by = make_user()
    name = f"Program {by.id}"
    _, token = tokens.create(by.actor, name, role, read_only=read_only, days=30)
    return Program(app, token)
