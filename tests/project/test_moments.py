"""Nothing of a test's is worked out from the clock while its file is read: that may be ten minutes
before it runs."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from portal.config.settings import ROOT

CLOCKS: Final = frozenset({"utcnow", "common_now", "now", "today", "monotonic", "time"})
LATER: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def moments(tree: ast.AST) -> Iterator[int]:
    """The lines in which a clock is asked while the file is read."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, LATER):
            for each in getattr(node, "decorator_list", []):
                yield from moments(each)
        else:
            if isinstance(node, ast.Call) and _asks_a_clock(node):
                yield node.lineno
            yield from moments(node)


def _asks_a_clock(call: ast.Call) -> bool:
    """`datetime.now(UTC)` does, and `time(17)` does not."""
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    return name in CLOCKS and (name == "now" or not call.args)


def asking(path: Path) -> list[str]:
    return [f"{path.name}:{line}" for line in moments(ast.parse(path.read_text()))]


def test_a_moment_is_told_where_it_is_worked_out_too_soon() -> None:
    text = "\n".join(
        (
            "NOW = utcnow()",
            "OLD = {'at': datetime.now(UTC)}",
            "@mark(utcnow())",
            "def test(): return utcnow()",
            "class A:",
            "    at = field(default_factory=utcnow)",
            "    since = monotonic()",
        )
    )
    assert list(moments(ast.parse(text))) == [1, 2, 3, 7]


def test_no_test_keeps_a_moment_from_before_it_began() -> None:
    found = [each for path in sorted((ROOT / "tests").rglob("*.py")) for each in asking(path)]
    assert found == []
