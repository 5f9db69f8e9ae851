"""What stands in tables: an entry that is missing, in the wrong line, or turned round."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from tests.mutants.operators.change import Change, instead
from tests.mutants.source import Module, Spot

WORD = re.compile(r"[A-Za-z][\w./:-]*")  # what programs read; sentences are for people


def entry_dropped(module: Module, spot: Spot) -> Iterator[Change]:
    """`{a: b, c: d}` → `{a: b}`, also of lists, sets and tuples with more than one."""
    rest: ast.expr
    match spot.node:
        case ast.Dict(keys=[_, _, *_] as keys, values=values):
            for number in range(len(keys)):
                rest = ast.Dict(_without(keys, number), _without(values, number))
                yield instead(module, spot.node, rest)
        case ast.List(elts=[_, _, *_] as elements, ctx=ast.Load()):
            for number in range(len(elements)):
                rest = ast.List(_without(elements, number), ast.Load())
                yield instead(module, spot.node, rest)
        case ast.Set(elts=[_, _, *_] as elements):
            for number in range(len(elements)):
                yield instead(module, spot.node, ast.Set(_without(elements, number)))
        case ast.Tuple(elts=[_, _, _, *_] as elements, ctx=ast.Load()):
            for number in range(len(elements)):
                rest = ast.Tuple(_without(elements, number), ast.Load())
                yield instead(module, spot.node, rest)


def _without(values: list[Any], number: int) -> list[Any]:
    return values[:number] + values[number + 1 :]


def entries_swapped(module: Module, spot: Spot) -> Iterator[Change]:
    """`{a: b, c: d}` → `{a: d, c: b}`."""
    match spot.node:
        case ast.Dict(keys=keys, values=values):
            for number, (left, right) in enumerate(pairwise(values)):
                if ast.dump(left) != ast.dump(right):
                    swapped = [*values]
                    swapped[number : number + 2] = right, left
                    yield instead(module, spot.node, ast.Dict(keys, swapped))


def flag_turned(module: Module, spot: Spot) -> Iterator[Change]:
    """`True` → `False`."""
    match spot.node:
        case ast.Constant(value=bool() as value) if not isinstance(spot.parent, ast.Return):
            yield instead(module, spot.node, repr(not value))


def word_changed(module: Module, spot: Spot) -> Iterator[Change]:
    """`"sent"` → `"sent_"`, of words without a space."""
    match spot.node:
        case ast.Constant(value=str() as value) if WORD.fullmatch(value):
            if not isinstance(spot.parent, ast.Raise) and spot.node.end_lineno == spot.node.lineno:
                yield instead(module, spot.node, repr(value + "_"))
