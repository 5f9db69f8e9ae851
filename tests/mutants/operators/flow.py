"""What a function does in its course: an assignment, a result, an exception, an end."""

import ast
from collections.abc import Iterator

from tests.mutants.operators.change import Change, instead
from tests.mutants.source import Module, Spot


def assignment_dropped(module: Module, spot: Spot) -> Iterator[Change]:
    """`row.state = a` → `pass`: what was there stays."""
    match spot.node:
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript() | ast.Tuple()]):
            targets = spot.node.targets
            first = targets[0].elts if isinstance(targets[0], ast.Tuple) else targets
            if all(isinstance(each, ast.Attribute | ast.Subscript) for each in first):
                yield instead(module, spot.node, "pass")
        case ast.AugAssign():
            yield instead(module, spot.node, "pass")


def part_of_assignment_dropped(module: Module, spot: Spot) -> Iterator[Change]:
    """`row.a, row.b = c, d` → `row.a = c`."""
    match spot.node:
        case ast.Assign(targets=[ast.Tuple(elts=left)], value=ast.Tuple(elts=right)):
            if len(left) == len(right) and all(isinstance(e, ast.Attribute) for e in left):
                for number in range(len(left)):
                    rest = zip(
                        left[:number] + left[number + 1 :],
                        right[:number] + right[number + 1 :],
                        strict=True,
                    )
                    words = "; ".join(f"{ast.unparse(a)} = {ast.unparse(b)}" for a, b in rest)
                    yield instead(module, spot.node, words)


def result_turned(module: Module, spot: Spot) -> Iterator[Change]:
    """`return True` → `return False`, `return a == b` → `return not a == b`."""
    match spot.node:
        case ast.Return(value=ast.Constant(value=bool() as value) as result):
            yield instead(module, result, repr(not value))
        case ast.Return(value=ast.BoolOp() | ast.UnaryOp(op=ast.Not()) as result):
            yield instead(module, result, ast.UnaryOp(ast.Not(), result))


def result_dropped(module: Module, spot: Spot) -> Iterator[Change]:
    """`return a` → `return None`, where the types allow it."""
    match spot.node:
        case ast.Return(value=ast.AST() as result):
            if not (isinstance(result, ast.Constant) and result.value is None):
                yield instead(module, result, "None")


def raise_removed(module: Module, spot: Spot) -> Iterator[Change]:
    """`raise a` → `pass`."""
    if isinstance(spot.node, ast.Raise):
        yield instead(module, spot.node, "pass")


def loop_left(module: Module, spot: Spot) -> Iterator[Change]:
    """`continue` → `break`, `break` → `continue`."""
    match spot.node:
        case ast.Continue():
            yield instead(module, spot.node, "break")
        case ast.Break():
            yield instead(module, spot.node, "pass")


def exception_forgotten(module: Module, spot: Spot) -> Iterator[Change]:
    """`except (A, B)` → `except A`."""
    match spot.node:
        case ast.ExceptHandler(type=ast.Tuple(elts=[_, _, *_] as kinds) as type_):
            for each in kinds:
                rest: list[ast.expr] = [other for other in kinds if other is not each]
                new = rest[0] if len(rest) == 1 else ast.Tuple(rest, ast.Load())
                yield instead(module, type_, ast.unparse(new))


def end_forgotten(module: Module, spot: Spot) -> Iterator[Change]:
    """What stands in `finally`, or in an `except`, is not done."""
    match spot.node:
        case ast.Try(finalbody=[first, *_] as body) | ast.ExceptHandler(body=[first, *_] as body):
            if not isinstance(body[-1], ast.Return | ast.Raise | ast.Pass):
                yield Change(module.span(first)[0], module.span(body[-1])[1], "pass")
