"""The schema's versions, by Flask-Migrate.

Apart from the other extensions, since a worker has no use for Alembic, which takes 9 MB of memory.
"""

from flask import Flask
from flask_migrate import Migrate

from portal.config.settings import ROOT
from portal.extensions import db


def init_migrations(app: Flask) -> None:
    """Let `flask db`, and `flask_migrate.upgrade` inside the application's context, work on it."""
    migrate = Migrate(db=db, directory=str(ROOT / "migrations"), render_as_batch=False)
    migrate.init_app(app)
