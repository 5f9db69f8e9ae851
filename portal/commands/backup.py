"""`flask backup`: a whole and consistent copy of the database while the portal runs."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click
from flask.cli import with_appcontext
from sqlalchemy import inspect
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from portal.config.exit_codes import USUAL
from portal.database.engine import shown
from portal.extensions import db
from portal.lib.durations import size_in_words


@click.command(epilog=USUAL)
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@with_appcontext
def backup(path: Path) -> None:
    """Copy the database to PATH, a file that must not exist yet.

    The portal may run meanwhile. The keys (SECRET_KEY, ENCRYPTION_KEYS) are not in the copy:
    keep them elsewhere, or nobody can read the secrets in it.
    """
    if path.exists():
        raise click.ClickException(f"{path} exists already; name another file.")
    _refuse_what_is_none()
    part = path.with_name(f"{path.name}.part")
    try:
        with _for_this_user_alone():
            part.unlink(missing_ok=True)
            copy = _copy_sqlite if db.engine.dialect.name == "sqlite" else _copy_postgresql
            copy(part)
            part.replace(path)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}.") from None
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"{path}: {size_in_words(path.stat().st_size)}.")


def _refuse_what_is_none() -> None:
    """Refuse to copy an empty database: whoever ran this without the portal's own settings would
    take the file for a copy of the portal until the day it is needed."""
    where = shown(db.engine.url)
    try:
        is_ours = inspect(db.engine).has_table("alembic_version")
    except DBAPIError:
        raise click.ClickException(f"The database {where} does not answer.") from None
    if not is_ours:
        raise click.ClickException(
            f"There is no portal in {where}, so nothing was copied. Check INSTANCE_DIR and "
            "DATABASE_URL."
        )


@contextmanager
def _for_this_user_alone() -> Iterator[None]:
    """New files are closed to other users: the copy holds what people entered."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _copy_sqlite(part: Path) -> None:
    sqlite: Any = db.engine.dialect.dbapi
    # VACUUM runs outside of any transaction, which ours would begin by themselves.
    try:
        with closing(db.engine.raw_connection()) as connection:
            connection.cursor().execute("VACUUM INTO ?", (str(part),))
        with closing(sqlite.connect(part, isolation_level=None)) as copy:
            # None of them runs where it is restored.
            copy.execute("DELETE FROM processes")
            (answer,) = copy.execute("PRAGMA integrity_check").fetchone()
    except (DBAPIError, sqlite.Error) as error:
        raise click.ClickException(f"SQLite made no copy: {error}.") from None
    if answer != "ok":
        raise click.ClickException(f"The copy is damaged: {answer}.")


def _copy_postgresql(part: Path) -> None:
    program = shutil.which("pg_dump")
    if program is None:
        raise click.ClickException(
            "pg_dump is not on this machine; install the client of PostgreSQL."
        )
    url = db.engine.url
    command = [
        program,
        "--format=custom",
        "--no-owner",
        "--exclude-table-data=processes",
        "--file",
        str(part),
        "--dbname",
        _plain(url),
    ]
    # A command line is seen by every user of the machine, the environment by this one alone.
    environ = {**os.environ, "PGPASSWORD": url.password or str(url.query.get("password", ""))}
    done = subprocess.run(command, env=environ, capture_output=True, text=True)  # noqa: S603 - fixed arguments
    if done.returncode:
        raise click.ClickException(f"pg_dump made no copy: {done.stderr.strip()}")


def _plain(url: URL) -> str:
    query = {name: value for name, value in url.query.items() if name != "password"}
    bare = URL.create("postgresql", url.username, None, url.host, url.port, url.database, query)
    return bare.render_as_string()
