"""How long, how many, how much: the most is taken, and one more is refused in a sentence."""

import base64
import secrets
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest

from portal.engine.signing.signatures import check_secret, hint
from portal.models.planning import MaintenanceOutcome
from portal.services.actions.planning.rules import (
    PlanValues,
    ReservationValues,
    WorkValues,
    plan_faults,
    reservation_faults,
    work_faults,
)
from portal.services.assets.fields import AssetValues, Fault, faults
from portal.services.webhooks.rules import name_problem
from portal.web.actions.planning_pages import read_days
from portal.web.forms.parsing import number_or_none, read_begin, read_months, row_id

pytestmark = pytest.mark.both_databases

NOW: Final = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)
TODAY: Final = NOW.date()
A_DAY: Final = timedelta(days=1)
DEAREST: Final = Decimal("9999999999.99")
A_CENT: Final = Decimal("0.01")


def said(found: Sequence[Fault]) -> list[tuple[str, str]]:
    return [(fault.field, fault.sentence) for fault in found]


def asset(**values: Any) -> list[tuple[str, str]]:
    return said(faults(AssetValues(**{"name": "Toner"} | values)))


def plan(**values: Any) -> list[tuple[str, str]]:
    return said(plan_faults(PlanValues(**{"title": "Inspection", "due_on": TODAY} | values)))


def work(**values: Any) -> list[tuple[str, str]]:
    done = {"outcome": MaintenanceOutcome.OK, "completed_on": TODAY}
    return said(work_faults(WorkValues(**done | values), TODAY))


def reservation(**values: Any) -> list[tuple[str, str]]:
    wish = {"staff_id": 1, "starts_at": NOW - A_DAY, "ends_at": NOW + A_DAY}
    return said(reservation_faults(ReservationValues(**wish | values), NOW))


TEXTS: Final = {
    "name": "name",
    "manufacturer": "manufacturer",
    "model": "model",
    "serial_number": "serial number",
    "supplier": "supplier",
    "order_number": "order number",
}


def test_a_text_of_an_asset_has_120_characters_at_most() -> None:
    for field, called in TEXTS.items():
        assert asset(**{field: "x" * 120}) == [], field
        sentence = f"Use at most 120 characters in the {called}"
        assert asset(**{field: "x" * 121}) == [(field, sentence)], field


def test_of_a_stock_there_are_a_thousand_million_at_most() -> None:
    for field in ("quantity", "min_quantity"):
        stock = {"kind": "stock", "quantity": 5}
        refused = [(field, "Enter a number from 0 to 1,000,000,000")]
        assert asset(**stock | {field: 0}) == asset(**stock | {field: 10**9}) == [], field
        assert asset(**stock | {field: -1}) == asset(**stock | {field: 10**9 + 1}) == refused, field


def test_a_unit_has_40_characters_at_most() -> None:
    assert asset(unit="x" * 40) == []
    assert asset(unit="x" * 41) == [("unit", "Use at most 40 characters in the unit")]


def test_an_asset_costs_what_its_column_holds_at_most() -> None:
    sentence = "Enter a purchase cost from 0 to 9,999,999,999.99"
    assert asset(purchase_cost=DEAREST) == []
    assert asset(purchase_cost=DEAREST + A_CENT) == [("purchase_cost", sentence)]


def test_texts_of_what_is_planned_are_as_long_as_their_columns() -> None:
    for field, most in (("title", 120), ("supplier", 120), ("note", 1000)):
        assert plan(**{field: "x" * most}) == [], field
        assert [named for named, _ in plan(**{field: "x" * (most + 1)})] == [field], field


def test_work_is_repeated_after_ten_years_at_the_latest() -> None:
    field = "repeat_every_days"
    assert plan(**{field: 1}) == plan(**{field: 3650}) == []
    sentence = "Enter a number of days from 1 to 3,650"
    assert plan(**{field: 0}) == plan(**{field: 3651}) == [(field, sentence)]


def test_work_costs_what_its_column_holds_at_most() -> None:
    assert plan(estimated_cost=DEAREST) == work(cost=DEAREST) == []
    assert plan(estimated_cost=Decimal(0)) == work(cost=Decimal(0)) == []
    assert [field for field, _ in plan(estimated_cost=DEAREST + A_CENT)] == ["estimated_cost"]
    assert [field for field, _ in work(cost=DEAREST + A_CENT)] == ["cost"]
    assert [field for field, _ in work(cost=-A_CENT)] == ["cost"]


def test_work_is_completed_today_at_the_latest() -> None:
    assert work(completed_on=TODAY) == []
    sentence = "Enter today or an earlier day: this one is to come"
    assert work(completed_on=TODAY + A_DAY) == [("completed_on", sentence)]


def test_a_reservation_ends_after_its_start_and_after_now() -> None:
    moment = timedelta(seconds=1)
    assert reservation(ends_at=NOW + moment) == []
    to_come = [("ends_at", "Enter an end that is still to come")]
    assert reservation(ends_at=NOW) == to_come
    after = [("ends_at", "The end must be after the start")]
    assert reservation(starts_at=NOW + A_DAY, ends_at=NOW + A_DAY) == after
    assert reservation(starts_at=NOW + A_DAY, ends_at=NOW + A_DAY + moment) == []
    assert [field for field, _ in reservation(purpose="x" * 201)] == ["purpose"]
    assert reservation(purpose="x" * 200) == []


def test_a_reservation_has_a_person_a_start_and_an_end() -> None:
    lacks = {
        "staff_id": "Choose who wants the asset",
        "starts_at": "Enter when the reservation starts",
        "ends_at": "Enter when the reservation ends",
    }
    for field, sentence in lacks.items():
        assert reservation(**{field: None}) == [(field, sentence)]
    assert reservation(**dict.fromkeys(lacks)) == list(lacks.items())


def test_the_name_of_a_webhook_has_120_characters_at_most() -> None:
    assert name_problem("x" * 120) is None
    assert name_problem("x" * 121) == "Use at most 120 characters in the webhook name"


def test_a_secret_key_has_24_to_200_characters_and_as_many_bytes_when_decoded() -> None:
    refused = "Use 24 to 200 characters in the secret key."
    key = secrets.token_urlsafe(201)
    assert [check_secret(key[:length]) for length in (23, 24, 200, 201)] == [
        *(refused, None),
        *(None, refused),
    ]
    decoded = ["whsec_" + base64.b64encode(key.encode()[:length]).decode() for length in (23, 24)]
    sentence = "Use a secret key with at least 24 bytes after whsec_."
    assert [check_secret(each) for each in decoded] == [sentence, None]


def test_the_end_of_a_short_secret_is_not_told() -> None:
    assert (hint("elevenchars"), hint("twelve chars")) == ("", "hars")


def test_numbers_in_forms_and_addresses_end_where_columns_do() -> None:
    assert [row_id(str(each)) for each in (1, 2**31 - 1, 2**31)] == [1, 2**31 - 1, 0]
    assert [number_or_none("9" * length) for length in (9, 10)] == [999_999_999, None]
    for read, most in ((read_months, 600), (read_days, 3650)):
        assert (read("1"), read(str(most))) == (1, most)
        for text in ("0", str(most + 1), f"0{most}", "", "-1", "1.5", "²"):
            with pytest.raises(ValueError, match=f"from 1 to {most}"):
                read(text)


def test_days_can_be_looked_for_that_every_time_zone_can_show(app: object) -> None:
    for inside, outside in ((date(1970, 1, 2), "1970-01-01"), (date(9998, 12, 31), "9999-01-01")):
        assert read_begin(f"{inside}"), inside
        with pytest.raises(ValueError, match="with a year from 1970 to 9998"):
            read_begin(outside)
