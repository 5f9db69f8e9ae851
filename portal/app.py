"""The whole application: the base, its pages, the API, and its commands."""

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from portal import api, commands, web
from portal.base_app import create_base_app
from portal.config.settings import Settings
from portal.queue import notifier
from portal.web.frame import errors


def create_app(settings: Settings | None = None) -> Flask:
    """Build the portal for a web server. Raises `SettingsError`."""
    app = create_base_app(settings)
    trust_proxies(app)
    notifier.init_app(app)
    errors.init_app(app)
    web.init_app(app)
    api.init_app(app)
    commands.init_migrations(app)
    commands.init_app(app)
    return app


def trust_proxies(app: Flask) -> None:
    """Take the client's address and scheme from as many proxies as `TRUSTED_PROXIES` says.

    By default, no one is trusted because any client can send X-Forwarded-For.
    """
    count = app.extensions["settings"].trusted_proxies
    if count:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count)  # type: ignore[method-assign]  # Flask's documented way
