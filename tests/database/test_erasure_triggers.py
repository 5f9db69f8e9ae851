"""Tests that append-only tables let only names change, while their person is being erased."""

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from portal.lib.clock import utcnow
from portal.models.audit import ErasedKind, Erasure
from portal.services.actions import stock
from portal.services.core.unit_of_work import session, writing
from tests.support.factories import make_asset, make_user

pytestmark = pytest.mark.both_databases

TABLES = {
    "audit_entries": "audit entries cannot be",
    "activities": "lines of a timeline cannot be",
    "stock_moves": "moves of stock cannot be",
}
# Columns that never change.
KEPT = {
    "audit_entries": ("id", "at", "actor_id", "origin", "action", "target_kind", "target_id"),
    "activities": ("asset_id", "actor_id", "origin", "action", "status_from", "status_to"),
    "stock_moves": ("id", "asset_id", "kind", "delta", "balance_after", "at", "actor_id"),
}
IN_TEXT = (
    ("audit_entries", "changes", '\'{"name": "Erased person %s"}\''),
    ("activities", "changes", '\'{"name": "Erased person %s"}\''),
    ("activities", "note", "'Erased person %s: tomorrow'"),
    ("stock_moves", "note", "'for Erased person %s'"),
)


def written() -> int:
    """Write a row to each of the tables as a new user, and return the user's row id."""
    ana = make_user(name="Ana")
    asset = make_asset(kind="stock", quantity=3)
    stock.receive(ana.actor, asset, quantity=2, note="for Ana")
    return ana.id


def erasing(person_id: int, *, finished: bool = False) -> int:
    with writing() as current:
        row = Erasure(kind=ErasedKind.USER, person_id=person_id)
        row.finished_at = utcnow() if finished else None
        current.add(row)
        current.flush()
        return row.id


def change(table: str, column: str, value: str) -> None:
    with writing() as current:
        current.execute(text(f"UPDATE {table} SET {column} = {value}"))  # noqa: S608 - our own names


def test_names_change_while_their_person_is_being_erased(app: Flask) -> None:
    ana = written()
    number = erasing(ana)
    for table, column, words in IN_TEXT:
        change(table, column, words % number)
    with writing() as current:
        for table in TABLES:
            renamed = f"UPDATE {table} SET actor_name = 'Erased person {number}' "  # noqa: S608 - our own names
            current.execute(text(renamed + f"WHERE actor_id = {ana}"))
    change("audit_entries", "target_name", f"'Erased person {number}'")
    note = session().execute(text("SELECT note FROM stock_moves ORDER BY id DESC LIMIT 1"))
    assert note.scalar_one() == f"for Erased person {number}"


@pytest.mark.parametrize("table", TABLES)
def test_nothing_else_changes_while_a_person_is_being_erased(app: Flask, table: str) -> None:
    erasing(written())
    for column in KEPT[table]:
        value = "1000" if column.endswith(("id", "delta", "after")) else "'x'"
        with pytest.raises(DBAPIError, match=TABLES[table]):
            change(table, column, "'2026-01-01'" if column == "at" else value)
    with pytest.raises(DBAPIError, match=TABLES[table]), writing() as current:
        current.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - our own names


@pytest.mark.parametrize("state", ["nobody", "finished", "somebody else"])
def test_no_name_changes_unless_that_person_is_being_erased(app: Flask, state: str) -> None:
    ana, other = written(), make_user().id
    number = 1
    if state != "nobody":
        number = erasing(other if state == "somebody else" else ana, finished=state == "finished")
    hers = f"'Erased person {number}' WHERE actor_id = {ana}"
    for table, sentence in TABLES.items():
        with pytest.raises(DBAPIError, match=sentence):
            change(table, "actor_name", hers)
    for table, column, words in IN_TEXT if state != "somebody else" else ():
        with pytest.raises(DBAPIError, match=TABLES[table]):
            change(table, column, words % number)


def test_a_name_is_only_replaced_by_the_text_of_its_own_erasure(app: Flask) -> None:
    ana = written()
    erasing(ana)
    for table, sentence in TABLES.items():
        with pytest.raises(DBAPIError, match=sentence):
            change(table, "actor_name", "'Somebody'")
    for table, column, words in IN_TEXT:
        with pytest.raises(DBAPIError, match=TABLES[table]):
            change(table, column, words % 1000)
    with pytest.raises(DBAPIError, match=TABLES["audit_entries"]):
        change("audit_entries", "target_name", "'Somebody'")
