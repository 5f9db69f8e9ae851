"""The maximum that each action accepts, on a real asset. One more changes nothing."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import pytest
from flask import Flask

from portal.models.assets import AssetKind
from portal.services.actions import incidents, lifecycle, stock
from portal.services.actions.incidents import DisposalValues
from portal.services.actions.planning import maintenance, reservations
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.rules import AlertRules
from portal.services.assets import named_lists
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import Refusal
from tests.services.actions.plan_examples import make_maintenance, make_reservation
from tests.support.factories import make_asset, make_staff

Do = Callable[[Any], object]
DEAREST: Final = Decimal("9999999999.99")


def stocked(**values: Any) -> int:
    return make_asset("Toner", **{"kind": AssetKind.STOCK, "quantity": 5} | values)


def dispose(**values: Any) -> None:
    incidents.liquidate(SYSTEM, make_asset(), DisposalValues(**{"method": "sold"} | values))


def warn(**days: Any) -> None:
    version = alert_settings.read().version
    alert_settings.save(SYSTEM, version, AlertRules(**days))


def alert_days(name: str) -> Do:
    return lambda number: warn(**{name: number})


# fmt: off
TEXTS: Final[dict[str, tuple[Do, int, str]]] = {
    "a move of stock": (
        lambda text: stock.receive(SYSTEM, stocked(), quantity=1, note=text),
        1000, "Enter at most 1,000 characters for the note",
    ),
    "why an asset is deleted": (
        lambda text: lifecycle.delete_asset(SYSTEM, make_asset(), text),
        200, "Enter at most 200 characters for the reason",
    ),
    "why work is cancelled": (
        lambda text: maintenance.cancel(SYSTEM, make_maintenance(make_asset()), text),
        200, "Enter at most 200 characters",
    ),
    "why a reservation is rejected": (
        lambda text: reservations.reject(
            SYSTEM, make_reservation(make_asset(), make_staff()), text
        ),
        200, "Enter at most 200 characters",
    ),
    "why a reservation is cancelled": (
        lambda text: reservations.cancel(
            SYSTEM, make_reservation(make_asset(), make_staff()), text
        ),
        200, "Enter at most 200 characters",
    ),
    "a category": (
        lambda text: named_lists.create(named_lists.CATEGORIES, SYSTEM, text),
        120, "Enter at most 120 characters",
    ),
}
NUMBERS: Final[dict[str, tuple[Do, tuple[Any, ...], tuple[Any, ...], str]]] = {
    "received": (
        lambda number: stock.receive(SYSTEM, stocked(quantity=0), quantity=number),
        (1, 10**9), (0, 10**9 + 1), "Enter a number from 1 to 1,000,000,000",
    ),
    "issued": (
        lambda number: stock.issue(SYSTEM, stocked(quantity=10**9), quantity=number),
        (1, 10**9), (0, 10**9 + 1), "Enter a number from 1 to 1,000,000,000",
    ),
    "left after what was received": (
        lambda number: stock.receive(SYSTEM, stocked(quantity=10**9 - 1), quantity=number),
        (1,), (2,), "Enter a number that leaves at most 1,000,000,000",
    ),
    "left after what was issued": (
        lambda number: stock.issue(SYSTEM, stocked(), quantity=number),
        (5,), (6,), "There are only 5. Receive more first or issue fewer",
    ),
    "what came of it": (
        lambda number: dispose(proceeds=number), (Decimal(0), DEAREST),
        (Decimal("-0.01"), DEAREST + 1),
        "Enter the proceeds as an amount from 0 to 9,999,999,999.99",
    ),
    "days before a warranty ends": (
        alert_days("warranty_days"),
        (0, 365), (-1, 366), "Enter a number of days from 0 to 365",
    ),
    "days before maintenance": (
        alert_days("maintenance_days"),
        (0, 365), (-1, 366), "Enter a number of days from 0 to 365",
    ),
    "days until an alert is repeated": (
        alert_days("repeat_every_days"),
        (1, 365), (0, 366), "Enter a number of days from 1 to 365 or leave it blank",
    ),
}
# fmt: on


def test_the_longest_text_is_accepted_and_a_longer_one_is_refused(app: Flask) -> None:
    for name in TEXTS:
        do, limit, sentence = TEXTS[name]
        do("x" * limit)
        with pytest.raises(Refusal) as refused:
            do("y" * (limit + 1))
        assert str(refused.value) == sentence, name


def test_numbers_are_accepted_only_within_their_limits(app: Flask) -> None:
    for name in NUMBERS:
        do, inside, outside, sentence = NUMBERS[name]
        for number in inside:
            do(number)
        for number in outside:
            with pytest.raises(Refusal) as refused:
                do(number)
            assert str(refused.value) == sentence, number
