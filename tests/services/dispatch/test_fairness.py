"""Receivers that hang never take all of a dispatcher's places."""

from portal.models.deliveries import Priority
from portal.services.dispatch.claim import reserved_of, share_out
from portal.services.outbox.claimable import Claimable

PLACES, RESERVED = 512, reserved_of(512)


def wanting(number: int, places: int = 8, leased: int = 0, **changes: object) -> Claimable:
    values = {"test_places": 0, "priorities": (Priority.NORMAL,), **changes}
    return Claimable(webhook_id=number, places=places, leased=leased, **values)  # type: ignore[arg-type]  # a table of values


def test_an_eighth_of_the_places_is_reserved() -> None:
    assert [reserved_of(most) for most in (512, 16, 8, 7, 1)] == [64, 2, 1, 0, 0]


def test_where_there_is_room_for_all_each_gets_what_it_may() -> None:
    wanted = [wanting(number) for number in range(56)]
    shared = share_out(wanted, PLACES, RESERVED)
    assert sorted(each.webhook_id for each in shared) == list(range(56))
    assert {each.places for each in shared} == {8}


def test_each_gets_a_first_place_before_any_gets_a_second_and_some_are_reserved() -> None:
    shared = share_out([wanting(number) for number in range(200)], PLACES, RESERVED)
    assert len(shared) == 200
    assert sum(each.places for each in shared) == PLACES - RESERVED
    # Also where there would be room for all, were none reserved.
    shared = share_out([wanting(number) for number in range(60)], PLACES, RESERVED)
    assert sum(each.places for each in shared) == PLACES - RESERVED


def test_what_is_kept_goes_to_those_to_whom_nothing_is_being_sent() -> None:
    hanging = [wanting(number, places=6, leased=2) for number in range(200)]
    shared = share_out([*hanging, wanting(999)], RESERVED, RESERVED)
    assert [(each.webhook_id, each.places) for each in shared] == [(999, 1)]
    # Of the few places left beyond, the one with nothing in flight takes first.
    assert share_out([*hanging, wanting(999)], RESERVED + 20, RESERVED)[0].webhook_id == 999


def test_probes_of_receivers_in_trouble_take_nothing_of_what_is_reserved() -> None:
    probes = [wanting(number, places=1, throttled=True) for number in range(200)]
    assert share_out([*probes, wanting(999)], RESERVED, RESERVED) == [wanting(999, places=1)]
    assert len(share_out(probes, RESERVED + 20, RESERVED)) == 20
    assert len(share_out(probes, PLACES, RESERVED)) == 200


def test_a_probe_stands_behind_those_to_whom_nothing_is_being_sent() -> None:
    wanted = [wanting(1, places=1, throttled=True), wanting(2)]
    firsts = {share_out(wanted, PLACES, RESERVED)[0].webhook_id for _ in range(30)}
    assert firsts == {2}


def test_a_probe_has_its_turn_while_those_that_are_well_want_everything() -> None:
    busy = [wanting(number, places=2, leased=6) for number in range(400)]
    probe = wanting(999, places=1, throttled=True)
    assert probe in share_out([*busy, probe], RESERVED + 10, RESERVED)


def test_a_test_and_a_persons_retry_never_wait_for_those_that_hang() -> None:
    test = wanting(1, places=0, test_places=1, priorities=())
    retry = wanting(2, places=6, leased=2, priorities=(Priority.INTERACTIVE, Priority.NORMAL))
    shared = share_out([wanting(3, places=6, leased=2), test, retry], 3, RESERVED)
    assert {each.webhook_id: each.places for each in shared} == {1: 0, 2: 1}


def test_more_webhooks_than_places_take_turns() -> None:
    first = {share_out([wanting(n) for n in range(99)], 10, 1)[0].webhook_id for _ in range(60)}
    assert len(first) > 10
