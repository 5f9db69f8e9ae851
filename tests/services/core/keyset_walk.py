"""Walk a list in keyset pages: older to the end, then newer to the beginning."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from portal.lib.paging import Page
from portal.services.core.unit_of_work import session, writing
from tests.support.factories import make_asset

NOON = datetime(2030, 5, 3, 12, 0, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[3]
SIZE = 2
MOST_PAGES = 400
# A function that uses one of these makes pages. The modules below define them.
PAGING = {
    "newest_first",
    "newest_of",
    "by_time",
    "by_name",
    "by_group",
    "page_of",
    "PAGE_SIZE",
}
MECHANISM = {
    "portal.lib.paging",
    "portal.services.core.keyset",
}
MENTION = re.compile("paging|keyset")


@dataclass(frozen=True, slots=True)
class Case:
    """One way to read a list. `expected`: the keys of its rows, in order.

    `turn` reads a page. `key` identifies a row. `asked`: the active parts of the filter.
    `begins_anew`: a search for newer rows that finds none can end with the first page again.
    """

    name: str
    turn: Callable[[str | None], Page[Any]]
    key: Callable[[Any], object]
    expected: list[Any]
    asked: frozenset[str] = field(default=frozenset())
    begins_anew: bool = False


def by_id(row: Any) -> int:
    """Return the id, which identifies most rows."""
    row_id: int = row.id
    return row_id


def newest(rows: list[Any]) -> list[int]:
    """Return the ids of the rows, newest first."""
    return sorted((row.id for row in rows), reverse=True)


def store(*rows: Any) -> None:
    """Insert the rows as they are."""
    with writing() as current:
        current.add_all(rows)


def every(kind: type[Any]) -> list[Any]:
    """Return all rows of a table, oldest first."""
    session().rollback()
    return list(session().scalars(select(kind).order_by(kind.id)))


def of_two_assets() -> tuple[int, int]:
    """Make two assets, so that a list of one can be checked for rows of the other."""
    return make_asset("One"), make_asset("Other")


def assert_every_row_once(case: Case) -> None:
    """Assert that each row is on exactly one page, in both directions."""
    down = list(_pages(case, case.turn(None), "older"))
    assert down[0].newer is None, f"{case.name}: something is newer than the first page"
    shown = _keys(case, down)
    assert shown == case.expected, f"{case.name}, to older: {shown}, not {case.expected}"
    assert all(len(page.rows) <= SIZE for page in down), f"{case.name}: a page is too long"
    up = list(_pages(case, down[-1], "newer"))
    if case.begins_anew and up[-1].rows == down[0].rows and len(_keys(case, up)) > len(shown):
        up = up[:-1]
    shown = _keys(case, up[::-1])
    assert shown == case.expected, f"{case.name}, back to newer: {shown}, not {case.expected}"


def _pages(case: Case, page: Page[Any], way: str) -> Iterator[Page[Any]]:
    for _ in range(MOST_PAGES):
        yield page
        cursor = getattr(page, way)
        if cursor is None:
            return
        page = case.turn(cursor)
    raise AssertionError(f"{case.name}: to {way} there is no end")


def _keys(case: Case, pages: list[Page[Any]]) -> list[object]:
    return [case.key(row) for page in pages for row in page.rows]


def functions_that_page() -> set[str]:
    """Return the dotted names of all portal functions that make pages, read from the sources."""
    names = set()
    for path in sorted((ROOT / "portal").rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        text = path.read_text()
        is_relevant = MENTION.search(text) and module not in MECHANISM
        tree = ast.parse(text if is_relevant else "")
        mechanism = _names_of_paging(tree)
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        names |= {
            f"{module}.{function.name}" for function in functions if _uses(function, mechanism)
        }
    return names


def _names_of_paging(tree: ast.Module) -> set[str]:
    """Return the module's names for imported parts of `PAGING`, or for the modules with them."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {
        alias.asname or alias.name
        for node in imports
        for alias in node.names
        if (node.module in MECHANISM and alias.name in PAGING)
        or f"{node.module}.{alias.name}" in MECHANISM
    }


def _uses(function: ast.FunctionDef, names: set[str]) -> bool:
    return any(isinstance(node, ast.Name) and node.id in names for node in ast.walk(function))
