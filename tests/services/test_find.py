"""The numbers of results that a search shows and counts, by kind."""

from collections.abc import Iterable

import pytest
from sqlalchemy import insert

from portal.lib.clock import utcnow
from portal.lib.ids import public_id
from portal.models.deliveries import Delivery, Event
from portal.services import find as service_find
from portal.services.actions import lifecycle
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session, writing
from portal.services.find import EverythingFound, FoundKind
from tests.support.deliveries import make_delivery
from tests.support.factories import make_asset, make_staff, make_webhook

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


def find(text: str) -> EverythingFound:
    session().rollback()
    return service_find.find(text, lambda _: True)


def names(rows: Iterable[object]) -> list[str]:
    return [str(getattr(row, "name", "")) for row in rows]


def test_a_few_people_are_shown_former_last_and_active_staff_counted() -> None:
    for number in range(4):
        make_staff(f"Lopez {number}")
        make_staff(f"Lopez left {number}", is_active=False)
    people = find("lopez").people
    assert names(people.rows) == [*(f"Lopez {number}" for number in range(4)), "Lopez left 0"]
    assert people.total == 4
    people = find("lopez left").people
    assert (len(people.rows), people.total) == (4, 0)


@pytest.mark.parametrize("number", [4, 5, 6])
def test_a_few_webhooks_are_shown_and_all_are_counted(number: int) -> None:
    for suffix in range(number):
        make_webhook(name=f"Sync {suffix}")
    webhooks = find("sync").webhooks
    assert (len(webhooks.rows), webhooks.total) == (min(number, 5), number)


def test_a_few_assets_found_by_address_are_shown_newest_first() -> None:
    ids = [make_asset() for _ in range(7)]
    text = " ".join(f"/assets/{asset_id}/timeline" for asset_id in ids)
    results = find(text)
    assert [row.id for row in results.assets.rows] == ids[:1:-1]
    assert results.sure is None
    assert find(f"/assets/{ids[0]}").sure == (FoundKind.ASSET, ids[0])


def test_a_deleted_asset_is_found_last_by_tag_and_not_by_serial_number() -> None:
    gone = make_asset(asset_tag="LMP-7", serial_number="S-1")
    lifecycle.delete_asset(SYSTEM, gone)
    assert find("S-1").is_empty
    assert find("see S-1 there").is_empty
    other = make_asset(asset_tag="LMP-8")
    lifecycle.delete_asset(SYSTEM, make_asset(asset_tag="LMP-9"))
    rows = find("LMP-9, LMP-7 or LMP-8?").assets.rows
    assert [row.asset_tag for row in rows] == ["LMP-8", "LMP-9", "LMP-7"]
    assert find("LMP-7 or LMP-8").sure == (FoundKind.ASSET, other)


def test_the_newest_ten_deliveries_of_an_event_are_shown() -> None:
    make_delivery()
    event = session().query(Event).one()
    row_id, its_id = event.id, event.public_id
    hooks = [make_webhook(state="off").id for _ in range(11)]
    with writing() as current:
        shared = {"event_id": row_id, "event": "asset.created", "status": "on_hold"}
        rows = [
            {**shared, "public_id": public_id(), "webhook_id": hook, "asset_id": 1}
            for hook in hooks
        ]
        current.execute(insert(Delivery), [{**row, "due_at": utcnow()} for row in rows])
    shown = [row.id for row in find(f"event {its_id}").deliveries.rows]
    stored = sorted((id_ for (id_,) in session().query(Delivery.id)), reverse=True)
    assert len(stored) == 12
    assert shown == stored[:10]
