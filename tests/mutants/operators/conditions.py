"""Conditions and guards: turned round, weakened, or gone."""

import ast
from collections.abc import Iterator
from typing import TypeAlias

from tests.mutants.operators.change import Change, instead, token
from tests.mutants.source import Module, Spot

Table: TypeAlias = dict[type[ast.cmpop], tuple[str, str]]

BOUNDS: Table = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
}
TURNS: Table = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
LEAVES = ast.Return | ast.Raise | ast.Continue | ast.Break


def bound_moved(module: Module, spot: Spot) -> Iterator[Change]:
    """`a < b` → `a <= b`; not of instants in rows, which are never equal to the microsecond."""
    match spot.node:
        case ast.Compare(left=ast.Attribute(value=ast.Name(id=row), attr=name)):
            if row[0].isupper() and name.endswith(("_at", "_until")):
                return
    yield from _compared(module, spot, BOUNDS)


def comparison_turned(module: Module, spot: Spot) -> Iterator[Change]:
    """`a is None` → `a is not None`."""
    yield from _compared(module, spot, TURNS)


def _compared(module: Module, spot: Spot, table: Table) -> Iterator[Change]:
    if isinstance(spot.node, ast.Compare):
        operands = [spot.node.left, *spot.node.comparators]
        for number, each in enumerate(spot.node.ops):
            if type(each) in table:
                yield token(module, operands[number], operands[number + 1], *table[type(each)])


def condition_turned(module: Module, spot: Spot) -> Iterator[Change]:
    """`if a:` → `if not a:`; also of `a if b else c` and of a comprehension."""
    match spot.node:
        case ast.If(test=test) | ast.IfExp(test=test):
            conditions = [test]
        case ast.comprehension(ifs=conditions):
            pass
        case _:
            return
    for each in conditions:
        # A comparison is turned by its own operator.
        if not isinstance(each, ast.Compare):
            yield instead(module, each, ast.UnaryOp(ast.Not(), each))


def operand_dropped(module: Module, spot: Spot) -> Iterator[Change]:
    """`a and b` → `a`."""
    if isinstance(spot.node, ast.BoolOp):
        for number in range(len(spot.node.values)):
            rest = [each for n, each in enumerate(spot.node.values) if n != number]
            new = rest[0] if len(rest) == 1 else ast.BoolOp(spot.node.op, rest)
            yield instead(module, spot.node, new)


def and_or(module: Module, spot: Spot) -> Iterator[Change]:
    """`a and b` → `a or b`."""
    if isinstance(spot.node, ast.BoolOp):
        other = ast.Or() if isinstance(spot.node.op, ast.And) else ast.And()
        yield instead(module, spot.node, ast.BoolOp(other, spot.node.values))


def not_dropped(module: Module, spot: Spot) -> Iterator[Change]:
    """`not a` → `a`."""
    if isinstance(spot.node, ast.UnaryOp) and isinstance(spot.node.op, ast.Not):
        yield instead(module, spot.node, spot.node.operand)


def choice_dropped(module: Module, spot: Spot) -> Iterator[Change]:
    """`a if b else c` → `a`."""
    if isinstance(spot.node, ast.IfExp):
        yield instead(module, spot.node, spot.node.body)
        yield instead(module, spot.node, spot.node.orelse)


def condition_dropped(module: Module, spot: Spot) -> Iterator[Change]:
    """`[a for a in b if c]` → `[a for a in b if True]`."""
    if isinstance(spot.node, ast.comprehension):
        for each in spot.node.ifs:
            yield instead(module, each, "True")


def guard_removed(module: Module, spot: Spot) -> Iterator[Change]:
    """`if a: return` → `pass`."""
    match spot.node:
        case ast.If(
            body=[*_, ast.Return() | ast.Raise() | ast.Continue() | ast.Break()], orelse=[]
        ):
            yield instead(module, spot.node, "pass")


def branch_emptied(module: Module, spot: Spot) -> Iterator[Change]:
    """`if a: b()` → `if a: pass`, and the same of `else`."""
    if isinstance(spot.node, ast.If):
        for body in (spot.node.body, spot.node.orelse):
            if body and not isinstance(body[-1], LEAVES) and not isinstance(body[0], ast.Pass):
                yield Change(module.span(body[0])[0], module.span(body[-1])[1], "pass")
