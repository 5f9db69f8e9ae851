"""A module of the product as mutants see it: where each node stands, and to which place it belongs.

A place is a statement of a function (`path|Class.method#3`), what stands before its body (its
decorators and defaults, `path|function#`), or a name that is bound outside functions (`path|NAME@`,
`path|Class.attribute@`). Tests are chosen by places.
"""

import ast
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
LOGS: Final = frozenset({"log", "logger", "logging"})


@dataclass(frozen=True, slots=True)
class Spot:
    """A node, what it is a part of, and the place that both belong to."""

    node: ast.AST
    parent: ast.AST
    place: str


class Module:
    """The text of a file, and the spots of it that may be changed. `path` is from the root."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.tree = ast.parse(text)
        self.places = _numbered(self.tree, path)
        self.imported = _imported(self.tree)
        self.attributes = _attributes(self.tree)
        self._bytes = text.encode()
        self._starts = [0]
        for line in self._bytes.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._begun = {
            self.span(statement)[0]: self.places[id(statement)]
            for _, function in functions_of(self.tree)
            for statement in statements_of(function)
        }

    @classmethod
    def read(cls, root: Path, path: str) -> "Module":
        """The file of this path."""
        return cls(path, (root / path).read_text())

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Where the node begins and ends, in bytes."""
        start = self._starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        end = self._starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
        return start, end

    def between(self, start: int, end: int) -> str:
        """The text from one byte to another."""
        return self._bytes[start:end].decode()

    def text_of(self, node: ast.AST) -> str:
        """The node as it is written."""
        return self.between(*self.span(node))

    def line_of(self, byte: int) -> int:
        """The line, from 1, in which a byte stands."""
        return bisect_right(self._starts, byte)

    def place_at(self, byte: int) -> str | None:
        """The place of the statement of a function that begins at this byte."""
        return self._begun.get(byte)

    def around(self, start: int, end: int) -> tuple[str, str]:
        """What stands in the same lines before the one byte and after the other."""
        first = self._starts[self.line_of(start) - 1]
        last = self._starts[bisect_left(self._starts, end, lo=1)]
        return self.between(first, start), self.between(end, last)

    def changed(self, start: int, end: int, new: str) -> str:
        """The whole text with other words from one byte to another."""
        return (self._bytes[:start] + new.encode() + self._bytes[end:]).decode()

    def spots(self) -> Iterator[Spot]:
        """Everything that a change may touch: no annotation, docstring, log line or `__all__`."""
        for statement in self.tree.body:
            if not _is_docstring(statement):
                yield from self._spots(statement, self.tree, self.path + "|", "")

    def _spots(self, node: ast.AST, parent: ast.AST, place: str, scope: str) -> Iterator[Spot]:
        place = self.places.get(id(node), place)
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            scope = f"{scope}{node.name}."
            if not is_in_function(place):
                place = _before(node, self.path, scope)
            yield Spot(node, parent, place)
            yield from self._definition_spots(node, scope)
            return
        if not is_in_function(place) and (name := _bound(node)):
            place = f"{self.path}|{scope}{name}@"
        if _is_fixed(node):
            return
        yield Spot(node, parent, place)
        for field, value in ast.iter_fields(node):
            if field in {"annotation", "returns", "type_comment", "ctx"}:
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _is_docstring(child):
                    yield from self._spots(child, node, place, scope)

    def _definition_spots(self, node: Function | ast.ClassDef, scope: str) -> Iterator[Spot]:
        place = _before(node, self.path, scope)
        before: list[ast.AST] = [*node.decorator_list]
        if not isinstance(node, ast.ClassDef):
            before += node.args.defaults + [each for each in node.args.kw_defaults if each]
        for child in before:
            yield from self._spots(child, node, place, scope)
        for child in node.body:
            if not _is_docstring(child):
                yield from self._spots(child, node, place, scope)


def _before(node: Function | ast.ClassDef, path: str, scope: str) -> str:
    """The place of what stands before a body."""
    return f"{path}|{scope[:-1]}{'@' if isinstance(node, ast.ClassDef) else '#'}"


def _numbered(tree: ast.Module, path: str) -> dict[int, str]:
    """The place of every statement of a function, by the statement's id."""
    places: dict[int, str] = {}
    for name, function in functions_of(tree):
        for number, statement in enumerate(statements_of(function)):
            places[id(statement)] = f"{path}|{name}#{number}"
    return places


def _imported(tree: ast.Module) -> frozenset[str]:
    """The modules that the file knows by a name, and all else it imports in small letters."""
    names = {
        alias.asname or alias.name
        for statement in tree.body
        if isinstance(statement, ast.Import | ast.ImportFrom)
        for alias in statement.names
    }
    return frozenset(name for name in names if name.islower())


def _attributes(tree: ast.Module) -> dict[str, set[str]]:
    """What the file asks of each name: `a.b` is b of a."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.setdefault(node.value.id, set()).add(node.attr)
    return found


def functions_of(tree: ast.AST, scope: str = "") -> Iterator[tuple[str, Function]]:
    """Every function and method with its qualified name."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, (*FUNCTIONS, ast.ClassDef)):
            if not isinstance(child, ast.ClassDef):
                yield scope + child.name, child
            yield from functions_of(child, f"{scope}{child.name}.")
        else:
            yield from functions_of(child, scope)


def statements_of(node: ast.AST) -> Iterator[ast.stmt]:
    """The statements of a function, those inside others too, but not inside what it defines."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt) and not _is_docstring(child):
            yield child
        if not isinstance(child, (*FUNCTIONS, ast.ClassDef, ast.expr)):
            yield from statements_of(child)


def function_of(place: str) -> str:
    """The place without the statement's number: `path|function#`."""
    return place[: place.rindex("#") + 1]


def is_in_function(place: str) -> bool:
    """Whether a statement of a function stands there, and not what an import does."""
    return "#" in place


def _bound(node: ast.AST) -> str:
    """The name that a statement outside functions binds."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return targets[0].id if isinstance(targets[0], ast.Name) else ""


def _is_docstring(node: ast.AST) -> bool:
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
        return False
    return isinstance(node.value.value, str) or node.value.value is ...


def _is_fixed(node: ast.AST) -> bool:
    """Whether nobody's fault would be there, or none that a test could be asked to see."""
    match node:
        case ast.JoinedStr() | ast.Import() | ast.ImportFrom():
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
            return True
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return True
        case (
            ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name))))
            | ast.Call(func=ast.Attribute(value=ast.Name(id=name)))
        ) if name in LOGS:
            return True
        case ast.Call(func=ast.Name(id="TypeVar" | "ParamSpec" | "cast" | "dataclass")):
            return True
    return False
