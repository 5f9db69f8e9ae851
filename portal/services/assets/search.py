"""Finding assets by any part of their tag, name or serial number, and by who has them.

SQLite looks into tables of trigrams that triggers keep in step, PostgreSQL into its trigram
indexes, where its extension allowed to make them (migration 0027). A search of one or two
characters has no trigram: it reads the rows, the newest first, until it has enough.
"""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    MetaData,
    Select,
    Table,
    Text,
    literal_column,
    select,
)
from sqlalchemy.orm import InstrumentedAttribute

from portal.lib.typed_text import harmless
from portal.models.assets import Asset
from portal.models.assignments import Assignment, Staff
from portal.services.core.search import any_holds
from portal.services.core.unit_of_work import session

TRIGRAM: Final = 3


@dataclass(frozen=True, slots=True)
class Searched:
    """What is searched in one table.

    `trigrams`: SQLite's table, which is no model, since its rows are the database's own. `joined`:
    the expression of PostgreSQL's index, to the letter, or it would not be used.
    """

    ids: InstrumentedAttribute[int]
    texts: tuple[InstrumentedAttribute[Any], ...]
    trigrams: Table
    joined: ColumnElement[str]


def _trigrams(name: str) -> Table:
    """The column that is named as its table is what MATCH asks."""
    columns = Column("rowid", Integer, key="id", primary_key=True), Column(name, Text, key="words")
    return Table(name, MetaData(), *columns)


ASSET_WORDS: Final = Searched(
    ids=Asset.id,
    texts=(Asset.asset_tag, Asset.name, Asset.serial_number),
    trigrams=_trigrams("asset_words"),
    joined=literal_column(
        "assets.asset_tag || chr(31) || assets.name || chr(31)"
        " || coalesce(assets.serial_number, '')",
        Text(),
    ),
)
STAFF: Final = Searched(
    ids=Staff.id,
    texts=(Staff.name, Staff.email),
    trigrams=_trigrams("staff_words"),
    joined=literal_column("staff.name || chr(31) || staff.email", Text()),
)


def by_words(text: str) -> Select[int]:
    """The ids of the assets whose tag, name or serial number holds the text, deleted ones too.

    Joined with the assets, for whatever else is asked of them.
    """
    return _holding(ASSET_WORDS, text)


def holds_words(text: str) -> ColumnElement[bool]:
    """The same as `by_words`, asked of a row of assets that another index has led to."""
    return any_holds(ASSET_WORDS.texts, _words(text))


def by_holder(text: str) -> Select[int]:
    """The ids of the assets that somebody has now whose name or address holds the text."""
    return (
        select(Assignment.asset_id)
        .join(Asset, Asset.id == Assignment.asset_id)
        .where(Assignment.ended_at.is_(None), Assignment.staff_id.in_(_holding(STAFF, text)))
    )


def _holding(searched: Searched, text: str) -> Select[int]:
    words = _words(text)
    if session().get_bind().dialect.name != "sqlite":
        return select(searched.ids).where(any_holds((searched.joined,), words))
    if len(words) < TRIGRAM:
        return select(searched.ids).where(any_holds(searched.texts, words))
    trigrams = searched.trigrams
    # Said with a sign, so that each that is found is looked up, and never the other way round.
    found = literal_column(f"+{trigrams.name}.rowid", Integer())
    phrase = '"' + words.replace('"', '""') + '"'
    joined = select(trigrams.c.id).join(searched.ids.class_, searched.ids == found)
    return joined.where(trigrams.c.words.op("MATCH")(phrase))


def _words(text: str) -> str:
    return " ".join(harmless(text).splitlines())
