"""Receivers that hang never take all of a dispatcher's places."""

from portal.models.deliveries import Priority
from portal.services.dispatch.claim import reserved_of, share_out
from portal.services.outbox.claimable import Claimable

PLACES, RESERVED = 512, reserved_of(512)


def wanting(number: int, places: int = 8, leased: int = 0, **changes: object) -> Claimable:
    values = {"test_places": 0, "priorities": (Priority.NORMAL,), **changes}
    return Claimable(webhook_id=number, places=places, leased=leased, **values)  # type: ignore[arg-type]  # a table of values


def test_an_eighth_of_the_places_is_reserved() -> None:
    assert [reserved_of(places) for places in (512, 16, 8, 7, 1)] == [64, 2, 1, 0, 0]


def test_with_room_for_all_each_webhook_gets_its_limit() -> None:
    webhooks = [wanting(number) for number in range(56)]
    shared = share_out(webhooks, PLACES, RESERVED)
    assert sorted(webhook.webhook_id for webhook in shared) == list(range(56))
    assert {webhook.places for webhook in shared} == {8}


def test_each_webhook_gets_one_place_before_any_gets_two() -> None:
    shared = share_out([wanting(number) for number in range(200)], PLACES, RESERVED)
    assert len(shared) == 200
    assert sum(webhook.places for webhook in shared) == PLACES - RESERVED
    # This holds even if all would fit without the reserve.
    shared = share_out([wanting(number) for number in range(60)], PLACES, RESERVED)
    assert sum(webhook.places for webhook in shared) == PLACES - RESERVED


def test_reserved_places_go_to_webhooks_with_nothing_in_flight() -> None:
    hanging = [wanting(number, places=6, leased=2) for number in range(200)]
    shared = share_out([*hanging, wanting(999)], RESERVED, RESERVED)
    assert [(webhook.webhook_id, webhook.places) for webhook in shared] == [(999, 1)]
    # A webhook with nothing in flight also goes first for the other places.
    assert share_out([*hanging, wanting(999)], RESERVED + 20, RESERVED)[0].webhook_id == 999


def test_probes_take_no_reserved_place() -> None:
    probes = [wanting(number, places=1, throttled=True) for number in range(200)]
    assert share_out([*probes, wanting(999)], RESERVED, RESERVED) == [wanting(999, places=1)]
    assert len(share_out(probes, RESERVED + 20, RESERVED)) == 20
    assert len(share_out(probes, PLACES, RESERVED)) == 200


def test_a_probe_comes_after_healthy_webhooks_with_nothing_in_flight() -> None:
    webhooks = [wanting(1, places=1, throttled=True), wanting(2)]
    firsts = {share_out(webhooks, PLACES, RESERVED)[0].webhook_id for _ in range(30)}
    assert firsts == {2}


def test_a_probe_gets_a_turn_while_healthy_webhooks_want_every_place() -> None:
    busy = [wanting(number, places=2, leased=6) for number in range(400)]
    probe = wanting(999, places=1, throttled=True)
    assert probe in share_out([*busy, probe], RESERVED + 10, RESERVED)


def test_a_test_and_a_manual_retry_never_wait_for_hanging_receivers() -> None:
    test = wanting(1, places=0, test_places=1, priorities=())
    retry = wanting(2, places=6, leased=2, priorities=(Priority.INTERACTIVE, Priority.NORMAL))
    shared = share_out([wanting(3, places=6, leased=2), test, retry], 3, RESERVED)
    assert {webhook.webhook_id: webhook.places for webhook in shared} == {1: 0, 2: 1}


def test_more_webhooks_than_places_take_turns() -> None:
    first = {share_out([wanting(n) for n in range(99)], 10, 1)[0].webhook_id for _ in range(60)}
    assert len(first) > 10
