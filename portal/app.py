"""The whole application: the base, its pages and its commands."""

from flask import Flask

from portal import cli, errors, queue, web
from portal.base import create_base_app
from portal.config import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """Build the portal as a web server runs it. Raises `SettingsError`."""
    app = create_base_app(settings)
    queue.init_app(app)
    errors.init_app(app)
    web.init_app(app)
    cli.init_app(app)
    return app
