"""An empty register in a temporary folder, which sends nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from flask import Flask

from portal.app import create_app
from portal.config.settings import load_settings
from portal.extensions import db
from tests.conftest import ENVIRONMENT, migrate_to_head


@contextmanager
def register(redis_url: str | None = None) -> Iterator[Flask]:
    """Yield an app with a temporary database."""
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/portal.sqlite"
        migrate_to_head(url, Path(folder))
        # Nothing listens at this socket, so nothing is sent.
        redis_url = redis_url or f"unix://{folder}/none"
        places = {"DATABASE_URL": url, "INSTANCE_DIR": folder, "REDIS_URL": redis_url}
        app = create_app(load_settings({**ENVIRONMENT, **places}))
        with app.app_context():
            yield app
            db.session.remove()
            db.engine.dispose()
