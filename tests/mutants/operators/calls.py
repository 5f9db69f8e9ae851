"""Calls: gone, their wrapper gone, or called with other arguments."""

import ast
from collections.abc import Iterator
from itertools import pairwise

from tests.mutants.operators.change import Change, instead
from tests.mutants.source import FUNCTIONS, Module, Spot

# A decorator without which a function is another kind of thing altogether.
STRUCTURE = {
    "abstractmethod",
    "cache",
    "classmethod",
    "contextmanager",
    "dataclass",
    "lru_cache",
    "overload",
    "property",
    "staticmethod",
    "wraps",
}
LOCKS = {"with_for_update"}
NO_VALUE = (ast.Expr, *FUNCTIONS)  # a call for its effect, or a decorator
STATEMENTS = {"delete", "exists", "insert", "select", "update"}  # of SQL: nothing without


def call_dropped(module: Module, spot: Spot) -> Iterator[Change]:
    """`a()` → `pass`."""
    if isinstance(spot.node, ast.Expr) and isinstance(spot.node.value, ast.Call):
        yield instead(module, spot.node, "pass")


def wrapper_dropped(module: Module, spot: Spot) -> Iterator[Change]:
    """`masked(a)` → `a`."""
    match spot.node:
        case ast.Call(func=function, args=[only], keywords=[]):
            if isinstance(only, ast.Starred) or isinstance(spot.parent, NO_VALUE):
                return
            match function:
                case ast.Name(id=name) if name[0].islower() and name not in STATEMENTS:
                    yield instead(module, spot.node, only)
                case ast.Attribute(value=ast.Name(id=owner)) if owner in module.imported:
                    yield instead(module, spot.node, only)


def method_dropped(module: Module, spot: Spot) -> Iterator[Change]:
    """`a.strip()` → `a`."""
    match spot.node:
        case ast.Call(func=ast.Attribute(value=value, attr=name)) if name not in LOCKS:
            if not isinstance(value, ast.Name) and not isinstance(spot.parent, ast.Expr):
                yield instead(module, spot.node, value)


def keyword_dropped(module: Module, spot: Spot) -> Iterator[Change]:
    """`a(b, c=d)` → `a(b)`."""
    if isinstance(spot.node, ast.Call):
        for each in spot.node.keywords:
            if each.arg is not None and each.arg not in LOCKS:
                rest = [other for other in spot.node.keywords if other is not each]
                yield instead(module, spot.node, ast.Call(spot.node.func, spot.node.args, rest))


def arguments_swapped(module: Module, spot: Spot) -> Iterator[Change]:
    """`a(b, c)` → `a(c, b)`, of names and attributes."""
    if not isinstance(spot.node, ast.Call):
        return
    for number, (left, right) in enumerate(pairwise(spot.node.args)):
        if all(isinstance(each, ast.Name | ast.Attribute) for each in (left, right)):
            swapped = [*spot.node.args]
            swapped[number : number + 2] = right, left
            yield instead(module, spot.node, ast.Call(spot.node.func, swapped, spot.node.keywords))


def decorator_dropped(module: Module, spot: Spot) -> Iterator[Change]:
    """`@requires("a")` is gone."""
    if isinstance(spot.node, FUNCTIONS):
        for each in spot.node.decorator_list:
            function = each.func if isinstance(each, ast.Call) else each
            if ast.unparse(function).rpartition(".")[2] not in STRUCTURE:
                start, end = module.span(each)
                yield Change(start - 1, end, "# none")
