"""Probes: a copy of the tree in which every statement of a function notes that it was reached.

A note is one byte in a file that is mapped into memory, so that the processes which tests start
note what they reach as well, also when they are killed.
"""

import ast
from pathlib import Path
from typing import Final

from tests.mutants.source import Module, functions_of, statements_of

NOTES: Final = "portal/reach_notes.bin"
PROBE: Final = "portal/reach_probe.py"

_PROBE_TEXT: Final = '''"""Where reached statements are noted."""
import mmap
import pathlib
with open(pathlib.Path(__file__).with_name("reach_notes.bin"), "r+b") as file:
    _reached_ = mmap.mmap(file.fileno(), 0)
'''


def put_probes(tree: Path) -> list[str]:
    """Rewrite the product's files in this copy; the place of each note, by its number."""
    places: list[str] = []
    for top in ("portal", "jobs"):
        for file in sorted((tree / top).rglob("*.py")):
            module = Module.read(tree, file.relative_to(tree).as_posix())
            _number(module, places)
            ast.fix_missing_locations(module.tree)
            file.write_text(ast.unparse(module.tree) + "\n")
    (tree / PROBE).write_text(_PROBE_TEXT)
    (tree / NOTES).write_bytes(bytes(len(places)))
    (tree / NOTES).chmod(0o666)
    return places


def _number(module: Module, places: list[str]) -> None:
    """Put a note before each statement of every function."""
    numbers: dict[int, int] = {}
    for _, function in functions_of(module.tree):
        for statement in statements_of(function):
            numbers[id(statement)] = len(places)
            places.append(module.places[id(statement)])
    if not numbers:
        return
    for node in ast.walk(module.tree):
        for field, value in ast.iter_fields(node):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                setattr(node, field, _noted(value, numbers))
    import_ = ast.parse("from portal.reach_probe import _reached_").body
    body = module.tree.body
    after = 1 if ast.get_docstring(module.tree) is not None else 0
    module.tree.body = body[:after] + import_ + body[after:]


def _noted(body: list[ast.stmt], numbers: dict[int, int]) -> list[ast.stmt]:
    noted: list[ast.stmt] = []
    for statement in body:
        if id(statement) in numbers:
            noted += ast.parse(f"_reached_[{numbers[id(statement)]}] = 1").body
        noted.append(statement)
    return noted
