"""The only shared singletons: Base, db, csrf, login."""

import uuid
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any

from flask import current_app
from flask_login import LoginManager
from flask_sqlalchemy import SQLAlchemy
from flask_wtf.csrf import CSRFProtect
from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    Date,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    Uuid,
    text,
)
from sqlalchemy.orm import DeclarativeBase

from portal.config.settings import Settings
from portal.database.engine import Money, UtcDateTime

# For tables that grow with every event. SQLite's row IDs need the plain type.
Big = Annotated[int, "big"]


class Base(DeclarativeBase):
    """The base of every model: named constraints and our column types."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        Big: BigInteger().with_variant(Integer(), "sqlite"),
        datetime: UtcDateTime(),
        date: Date(),
        uuid.UUID: Uuid(),
        bytes: LargeBinary(),
        str: Text(),
        Decimal: Money(),
        dict[str, Any]: JSON(),
        list[Any]: JSON(),
    }


def partial_index(
    name: str, *columns: str | ColumnElement[Any], where: str, unique: bool = False
) -> Index:
    """Return an index of the rows that match the SQL in `where`, for both databases."""
    condition = text(where)
    return Index(name, *columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


# Models inherit from our typed Base, not from db.Model. db provides the engine and the session.
db = SQLAlchemy()
csrf = CSRFProtect()
login = LoginManager()


def use_settings(found: Settings) -> None:
    """Replace the current application's settings in every thread."""
    current_app.extensions["settings"] = found


def settings() -> Settings:
    """Return the current application's settings."""
    current: Settings = current_app.extensions["settings"]
    return current
