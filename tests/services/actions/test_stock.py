"""Stock: the balance never goes below zero and each move publishes one event."""

from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from portal.models.assets import Asset, StockMove
from portal.services.actions import lifecycle, stock
from portal.services.assets.fields import MOST_IN_STOCK, AssetValues
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session
from tests.services.actions.plan_examples import bodies
from tests.support.database.rivals import at_once
from tests.support.factories import make_asset


def make_stock(quantity: int = 10, **values: Any) -> int:
    return make_asset("Toner", kind="stock", quantity=quantity, **values)


def balances(asset_id: int) -> list[tuple[str, int, int]]:
    session().rollback()
    query = select(StockMove).where(StockMove.asset_id == asset_id).order_by(StockMove.id)
    return [(move.kind, move.delta, move.balance_after) for move in session().scalars(query)]


def test_a_new_consumable_publishes_its_initial_quantity(app: Flask) -> None:
    asset_id = make_stock(10, min_quantity=4, unit="box")
    (created,) = bodies()
    assert created["data"]["initial_quantity"] == 10
    assert {name: created["asset"][name] for name in ("quantity", "min_quantity", "unit")} == {
        "quantity": 10,
        "min_quantity": 4,
        "unit": "box",
    }
    assert balances(asset_id) == [("receive", 10, 10)]
    none_yet = make_stock(0)
    assert (lifecycle.find_asset(none_yet).quantity, balances(none_yet)) == (0, [])


def test_each_move_publishes_its_reason_and_balance(app: Flask) -> None:
    asset_id = make_stock(10)
    stock.receive(SYSTEM, asset_id, quantity=5, note="Order 7")
    stock.issue(SYSTEM, asset_id, quantity=12)
    stock.adjust(SYSTEM, asset_id, quantity=4)
    stock.adjust(SYSTEM, asset_id, quantity=1, is_loss=True)
    moves = [("receive", 5, 15), ("issue", -12, 3), ("adjust", 1, 4), ("loss", -3, 1)]
    assert balances(asset_id) == [("receive", 10, 10), *moves]
    asset = lifecycle.find_asset(asset_id)
    (latest, *_) = stock.moves(asset_id).rows
    assert asset.created_at < latest.at == asset.updated_at
    updates = bodies()[1:]
    reasons = [body["data"]["reason"] for body in updates]
    assert reasons == ["stock_received", "stock_issued", "stock_adjusted", "stock_adjusted"]
    first = updates[0]["data"]
    assert first["changes"] == {"quantity": {"from": 10, "to": 15}}
    assert first["note"] == "Order 7"
    told_moves = [body["data"]["stock_move"] for body in updates]
    shown = [(move["type"], move["balance_after"]) for move in told_moves]
    assert shown == [(kind, left) for kind, _, left in moves]
    assert list(first["stock_move"]) == ["id", "type", "delta", "balance_after", "moved_at"]
    assert [body["asset"]["version"] for body in updates] == [2, 3, 4, 5]


@pytest.mark.parametrize(
    ("verb", "quantity", "sentence"),
    [
        (stock.issue, 11, "There are only 10"),
        (stock.issue, 0, "Enter a number from 1"),
        (stock.receive, -1, "Enter a number from 1"),
        (stock.receive, MOST_IN_STOCK, "at most 1,000,000,000"),
    ],
)
def test_an_impossible_quantity_is_refused_without_an_event(
    app: Flask, verb: Any, quantity: int, sentence: str
) -> None:
    asset_id = make_stock(10)
    with pytest.raises(Refusal, match=sentence) as refused:
        verb(SYSTEM, asset_id, quantity=quantity)
    assert refused.value.field == "quantity"
    assert len(bodies()) == 1
    assert balances(asset_id) == [("receive", 10, 10)]


def test_a_loss_cannot_increase_the_quantity(app: Flask) -> None:
    with pytest.raises(Refusal, match="Enter at most 10"):
        stock.adjust(SYSTEM, make_stock(10), quantity=11, is_loss=True)


def test_an_unchanged_count_publishes_no_event(app: Flask) -> None:
    asset_id = make_stock(10)
    assert stock.adjust(SYSTEM, asset_id, quantity=10) is False
    assert stock.adjust(SYSTEM, asset_id, quantity=10, is_loss=True) is False
    assert len(bodies()) == len(balances(asset_id)) == 1


def test_an_edit_changes_the_threshold_and_never_the_quantity(app: Flask) -> None:
    asset_id = make_stock(10, min_quantity=4, unit="box")
    values = AssetValues(
        asset_tag="AST-00001", name="Toner", kind="stock", quantity=99, min_quantity=6, unit="box"
    )
    assert lifecycle.edit_asset(SYSTEM, asset_id, 1, values)
    assert bodies()[-1]["data"]["changes"] == {"min_quantity": {"from": 4, "to": 6}}
    assert balances(asset_id) == [("receive", 10, 10)]


def test_concurrent_issues_never_exceed_the_stock(app: Flask) -> None:
    asset_id = make_stock(10)
    results = at_once(app, [partial(stock.issue, SYSTEM, asset_id, quantity=3)] * 8)
    assert balances(asset_id)[1:] == [("issue", -3, 7), ("issue", -3, 4), ("issue", -3, 1)]
    assert sum(isinstance(result, Refusal) for result in results) == 5
    assert session().scalar(select(Asset.quantity).where(Asset.id == asset_id)) == 1
    assert len(bodies()) == 4
