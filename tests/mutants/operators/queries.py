"""Statements to the database: a condition, an order, a limit or a lock that is not there."""

import ast
from collections.abc import Iterator

from tests.mutants.operators.change import Change, instead
from tests.mutants.source import Module, Spot

CONDITIONS = {"where", "filter", "filter_by", "having", "and_", "or_", "exists"}


def where_dropped(module: Module, spot: Spot) -> Iterator[Change]:
    """`a.where(b)` → `a`, `a.where(b, c)` → `a.where(b)`."""
    match spot.node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in CONDITIONS:
            pass
        case _:
            return
    call = spot.node
    for each in call.args if len(call.args) > 1 else []:
        rest = [other for other in call.args if other is not each]
        yield instead(module, call, ast.Call(call.func, rest, call.keywords))
    if len(call.args) == 1 and isinstance(call.func, ast.Attribute):
        yield instead(module, call, call.func.value)


def order_turned(module: Module, spot: Spot) -> Iterator[Change]:
    """`a.desc()` → `a`, `order_by(a, b)` → `order_by(a)`, `reverse=True` is gone."""
    match spot.node:
        case ast.Call(func=ast.Attribute(value=value, attr="desc" | "asc")):
            yield instead(module, spot.node, value)
        case ast.Call(func=ast.Attribute(value=value, attr="order_by"), args=[*args]):
            yield instead(module, spot.node, value)
            for each in args if len(args) > 1 else []:
                rest = [other for other in args if other is not each]
                yield instead(module, spot.node, ast.Call(spot.node.func, rest, []))
        case ast.Call(func=ast.Name(id="sorted" | "reversed"), args=[first]):
            yield instead(module, spot.node, ast.Call(ast.Name("list"), [first], []))


def limit_dropped(module: Module, spot: Spot) -> Iterator[Change]:
    """`a.limit(n)` → `a`, also `distinct`, `offset` and `group_by`."""
    match spot.node:
        case ast.Call(
            func=ast.Attribute(value=v, attr="limit" | "distinct" | "offset" | "group_by")
        ):
            yield instead(module, spot.node, v)


def lock_dropped(module: Module, spot: Spot) -> Iterator[Change]:
    """`with_for_update` is gone, and so is a `with` that gives nothing a name."""
    match spot.node:
        case ast.Call(func=ast.Attribute(value=value, attr="with_for_update")):
            yield instead(module, spot.node, value)
        case ast.Call(func=ast.Attribute(attr="get" | "get_one"), keywords=[_, *_] as keywords):
            rest = [each for each in keywords if each.arg != "with_for_update"]
            if len(rest) < len(keywords):
                new = ast.Call(spot.node.func, spot.node.args, rest)
                yield instead(module, spot.node, new)
        case ast.With(items=[ast.withitem(optional_vars=None)] as items, body=body):
            start, end = module.span(spot.node)[0], module.span(body[0])[0]
            after = module.between(module.span(items[0].context_expr)[1], end)
            yield Change(start, end, "if True:" + after.partition(":")[2])


def column_mistaken(module: Module, spot: Spot) -> Iterator[Change]:
    """`A.sent_at` → `A.due_at`: another attribute of the same name's that ends alike."""
    match spot.node:
        case ast.Attribute(value=ast.Name(id=owner), attr=attribute, ctx=ast.Load()):
            for other in sorted(module.attributes[owner]):
                if other != attribute and _kind(other) == _kind(attribute) != "":
                    yield instead(module, spot.node, f"{owner}.{other}")


def _kind(attribute: str) -> str:
    for kind in ("_at", "_on", "_id", "_until", "_name", "_count", "_days", "_seconds"):
        if attribute.endswith(kind):
            return kind
    return "is_" if attribute.startswith("is_") else ""
