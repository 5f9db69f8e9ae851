"""Commands that end with a sentence where the database cannot be used, not with a traceback."""

import functools
from typing import Any

import click
from flask import current_app
from sqlalchemy.exc import DBAPIError

from portal.database.engine import shown


def in_words(command: click.Command) -> click.Command:
    """Have `command` say in one sentence that the database is away, or not of this version."""
    run = command.callback
    if run is None:
        raise TypeError(f"{command.name} does nothing by itself")

    @functools.wraps(run)
    def told(*args: Any, **kwargs: Any) -> Any:
        try:
            return run(*args, **kwargs)
        except DBAPIError as error:
            settings: Any = current_app.extensions["settings"]
            raise click.ClickException(
                f"{unusable(settings.database_url, error)} {settings.command('doctor')} says what "
                "to do."
            ) from None

    command.callback = told
    return command


def unusable(url: str, error: DBAPIError) -> str:
    """That the database cannot be used, and why, without its password."""
    why = str(error.orig).strip().splitlines()[0].rstrip(".")
    return f"The database {shown(url)} cannot be used: {why}."
