"""Record the statements that a database receives."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, event


@contextmanager
def asked(engine: Engine, *begun: str, about: str = "") -> Iterator[list[str]]:
    """Yield a list that collects the statements of this block.

    Keeps statements that begin with one of the words, if any are given, and contain `about`.
    """
    found: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if statement.lstrip().upper().startswith(begun or "") and about in statement:
            found.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)
