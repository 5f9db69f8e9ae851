"""Compare all rows that a day of work stores with golden files, column by column."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
from sqlalchemy import select

from portal.extensions import Base
from portal.services.core.unit_of_work import session
from tests.services.golden_rows.day_of_work import live_a_day
from tests.support.golden.expected_file import Golden
from tests.support.golden.frozen_register import NOW, FrozenRegister, frozen_register
from tests.support.servers import ValkeyServer

FOLDER: Final = Path(__file__).parent / "rows"
# Values of the machine, or random ones.
DIGEST: Final = re.compile(r"\b[0-9a-f]{64}\b")
SEALED: Final = "gAAAA"  # how a Fernet token begins
AS_HERE: Final = frozenset({"pid", "host", "password_hash", "secret_hint", "run", "token"})


# Tables in which this day leaves no rows.
NEVER: Final = frozenset({"import_matches", "mails", "organization", "reach"})


@pytest.fixture(scope="module")
def register(valkey_server: ValkeyServer) -> Iterator[FrozenRegister]:
    with frozen_register(valkey_server) as register:
        live_a_day(register.person.actor)
        yield register


def test_every_row_matches_its_golden_file(register: FrozenRegister, golden: Golden) -> None:
    written = set()
    for table in Base.metadata.sorted_tables:
        in_order = select(table).order_by(*table.primary_key.columns)
        rows = session().execute(in_order).mappings().all()
        text = "\n\n".join("\n".join(lines(row)) for row in rows)
        if text:
            written.add(name := f"{table.name}.txt")
            text = DIGEST.sub("«digest»", register.settled(text))
            golden.text(FOLDER / name, text + "\n")
    golden.only(FOLDER, written)
    assert {each.name for each in Base.metadata.sorted_tables} - NEVER <= {
        each.removesuffix(".txt") for each in written
    }


def lines(row: Any) -> list[str]:
    """Return a line for each column that is not null."""
    return [f"{name}: {told(name, value)}" for name, value in row.items() if value is not None]


def told(name: str, value: Any) -> str:
    if name in AS_HERE:
        return "«as here»"
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str) and value.startswith(SEALED):
        return "«sealed»"
    if isinstance(value, datetime):
        return _since(value)
    return json.dumps(value, default=str, ensure_ascii=False)


def _since(at: datetime) -> str:
    return "now" if at == NOW else f"now {(at - NOW).total_seconds():+.0f} s"
