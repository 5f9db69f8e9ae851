"""The light application: settings and extensions, no pages. Jobs run in it."""

from typing import Final

from flask import Flask, request

from portal.config.settings import ROOT, Settings, load_settings
from portal.config.values import private_folder
from portal.database import trouble
from portal.database.engine import engine_options, prepare_engine
from portal.extensions import Base, csrf, db, login
from portal.services.core import organization

# Bytes of a form without a file. Parsing it takes up to a quarter of a second of CPU time, and 16
# times that at the limit for files. Our longest text has 200,000 characters.
LONGEST_FORM: Final = 1024 * 1024


def create_base_app(settings: Settings | None = None) -> Flask:
    """Build an application with its database, and the settings under `app.extensions["settings"]`.

    Raises `SettingsError` for an invalid setting.
    """
    settings = settings or load_settings()
    private_folder(settings.instance_dir, "INSTANCE_DIR")
    app = Flask(
        "portal",
        root_path=str(ROOT),
        template_folder="templates",
        static_folder="static",
        instance_path=str(settings.instance_dir),
    )
    app.extensions["settings"] = settings
    is_secure = settings.base_url.startswith("https://")
    app.config.update(
        SECRET_KEY=settings.secret_key,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(settings.database_url, settings.database_options),
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SECURE=is_secure,
        # Browsers accept a cookie with this prefix only over HTTPS, for this host and all its
        # paths. So no other host of the domain can plant one.
        SESSION_COOKIE_NAME="__Host-session" if is_secure else "session",
        SESSION_COOKIE_PATH="/",
        MAX_CONTENT_LENGTH=16 * 1024 * 1024,
        WTF_CSRF_TIME_LIMIT=None,
    )
    db.init_app(app)
    app.before_request(_bound_form)  # before CSRFProtect reads it
    csrf.init_app(app)
    login.init_app(app)
    with app.app_context():
        prepare_engine(db.engine)
        trouble.listen(db.engine)
        organization.load()
    app.extensions["metadata"] = Base.metadata
    return app


def _bound_form() -> None:
    """Limit forms without files to `LONGEST_FORM` bytes."""
    if request.mimetype == "application/x-www-form-urlencoded":
        request.max_content_length = LONGEST_FORM
