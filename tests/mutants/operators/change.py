"""What an operator gives: other words for a part of the text."""

import ast
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from tests.mutants.source import Module, Spot


class Change(NamedTuple):
    """From one byte to another stands `new` instead."""

    start: int
    end: int
    new: str


Operator: TypeAlias = Callable[[Module, Spot], Iterator[Change]]


def instead(module: Module, node: ast.AST, new: str | ast.AST) -> Change:
    """Something else where the node stands, in parentheses where it may need them."""
    if isinstance(new, ast.AST):
        new = written(new)
    return Change(*module.span(node), new)


def written(node: ast.AST) -> str:
    """A node as text that can stand inside another expression."""
    text = ast.unparse(node)
    is_open = isinstance(
        node, ast.BoolOp | ast.IfExp | ast.Compare | ast.BinOp | ast.UnaryOp | ast.Lambda
    )
    return f"({text})" if is_open else text


def token(module: Module, left: ast.AST, right: ast.AST, old: str, new: str) -> Change:
    """Another operator between two operands."""
    start, end = module.span(left)[1], module.span(right)[0]
    gap = module.between(start, end)
    return Change(start, end, gap.replace(old, new, 1))
