"""Numbers and the ends of ranges: off by one, the other sign, the other end."""

import ast
from collections.abc import Iterator

from tests.mutants.operators.change import Change, instead, token
from tests.mutants.source import Module, Spot

SMALL = 20  # from here on a number is doubled: one more or less of it is nobody's fault
PAIRS = {"min": "max", "max": "min", "any": "all", "all": "any"}


def number_moved(module: Module, spot: Spot) -> Iterator[Change]:
    """`1` → `2`, `600` → `1200`."""
    match spot.node:
        case ast.Constant(value=bool()):
            return
        case ast.Constant(value=int() | float() as value) if value >= SMALL:
            yield instead(module, spot.node, repr(value * 2))
        case ast.Constant(value=int() as value):
            yield instead(module, spot.node, repr(value + 1))
            if value > 1:
                yield instead(module, spot.node, repr(value - 1))
        case ast.Constant(value=float() as value):
            yield instead(module, spot.node, repr(value + 0.5))


def sign_turned(module: Module, spot: Spot) -> Iterator[Change]:
    """`a + b` → `a - b`."""
    match spot.node:
        case ast.BinOp(op=ast.Add(), left=left, right=right) if not _is_text(left, right):
            yield token(module, left, right, "+", "-")
        case ast.BinOp(op=ast.Sub(), left=left, right=right):
            yield token(module, left, right, "-", "+")


def _is_text(*nodes: ast.AST) -> bool:
    return any(
        isinstance(each, ast.JoinedStr | ast.List | ast.Tuple)
        or (isinstance(each, ast.Constant) and isinstance(each.value, str | bytes))
        for each in nodes
    )


def step_dropped(module: Module, spot: Spot) -> Iterator[Change]:
    """`a + 1` → `a`, also with another summand."""
    match spot.node:
        case ast.BinOp(op=ast.Add() | ast.Sub(), left=left, right=right) if not _is_text(
            left, right
        ):
            yield instead(module, spot.node, left)


def extreme_turned(module: Module, spot: Spot) -> Iterator[Change]:
    """`min(…)` → `max(…)`, `any(…)` → `all(…)`."""
    match spot.node:
        case ast.Call(func=ast.Name(id=name) as function) if name in PAIRS:
            yield instead(module, function, PAIRS[name])


def extreme_dropped(module: Module, spot: Spot) -> Iterator[Change]:
    """`min(a, b)` → `a`."""
    match spot.node:
        case ast.Call(func=ast.Name(id="min" | "max"), args=[first, second], keywords=[]):
            yield instead(module, spot.node, first)
            yield instead(module, spot.node, second)


def slice_dropped(module: Module, spot: Spot) -> Iterator[Change]:
    """`a[:n]` → `a`."""
    match spot.node:
        case ast.Subscript(value=value, slice=ast.Slice(), ctx=ast.Load()):
            yield instead(module, spot.node, value)


def slice_moved(module: Module, spot: Spot) -> Iterator[Change]:
    """`a[:n]` → `a[:n - 1]`."""
    if isinstance(spot.node, ast.Slice):
        for end in (spot.node.lower, spot.node.upper):
            if end and not isinstance(end, ast.Constant):
                yield instead(module, end, ast.BinOp(end, ast.Sub(), ast.Constant(1)))
