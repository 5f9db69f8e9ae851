"""How long things are remembered around signing in: tries, and pauses."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.models.people import SignInThrottle
from portal.services.core.unit_of_work import session, writing
from portal.services.people import sign_in_throttle
from portal.services.people.sign_in_throttle import Key, Throttled, for_address, for_email

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def row(key: Key) -> SignInThrottle | None:
    session().rollback()
    return session().get(SignInThrottle, key.name)


def tried(key: Key, times: int) -> list[list[Key]]:
    """Tries in a row, each with what began to wait; nobody waits for the pauses between them."""
    reached = []
    for _ in range(times):
        with writing() as current:
            current.execute(update(SignInThrottle).values(blocked_until=None))
        reached.append(sign_in_throttle.count([key]))
    return reached


def let_pass(length: timedelta) -> None:
    with writing() as current:
        for each in current.scalars(select(SignInThrottle)):
            each.last_failed_at -= length
            if each.blocked_until:
                each.blocked_until -= length


def test_the_limits_are_five_for_an_account_and_twenty_for_an_address() -> None:
    assert for_email("ana@example.com") == Key("email:ana@example.com", 5)
    assert for_address("192.0.2.7") == Key("address:192.0.2.7", 20)
    assert for_address(None) == for_address("no address") == Key("address:unknown", 20)
    assert for_address("2001:db8:1:2:3::4") == Key("address:2001:db8:1:2::", 20)


def test_the_try_that_reaches_the_limit_is_told_and_no_other(app: Flask) -> None:
    key = for_email("ana@example.com")
    assert tried(key, 7) == [[], [], [], [], [key], [], []]


def test_quiet_for_an_hour_and_the_counting_begins_anew(app: Flask) -> None:
    key = for_email("ana@example.com")
    tried(key, 3)
    let_pass(HOUR - MINUTE)
    tried(key, 1)
    assert (found := row(key)) is not None
    assert found.failures == 4
    let_pass(HOUR + MINUTE)
    tried(key, 1)
    assert (found := row(key)) is not None
    assert found.failures == 1


def test_who_has_to_wait_counts_no_further_and_is_told_the_longest_of_the_waits(app: Flask) -> None:
    account, address = Key("email:a", 2), Key("address:b", 1)
    sign_in_throttle.count([address])
    with pytest.raises(Throttled) as refusal:
        sign_in_throttle.count([account, address])
    assert 29 <= refusal.value.seconds <= 30
    assert row(account) is None
    let_pass(timedelta(seconds=20))
    tried_account = Key("email:c", 1)
    sign_in_throttle.count([tried_account])
    with pytest.raises(Throttled) as refusal:
        sign_in_throttle.count([tried_account, address])
    assert 29 <= refusal.value.seconds <= 30
    let_pass(timedelta(seconds=31))
    assert sign_in_throttle.count([account, address]) == []


@pytest.mark.parametrize(
    ("seconds", "told", "words"),
    [(0.2, 1, "1 second"), (29.6, 30, "30 seconds"), (95, 95, "1 minute"), (900, 900, "15 min")],
)
def test_the_wait_is_told_in_whole_seconds_and_never_as_none(
    seconds: float, told: int, words: str
) -> None:
    refusal = Throttled(seconds)
    assert refusal.seconds == told
    assert f"Wait {words}" in refusal.sentence


def test_a_right_try_frees_the_account_and_gives_the_address_back_that_one(app: Flask) -> None:
    account, address = for_email("ana@example.com"), Key("address:b", 3)
    for _ in range(3):
        sign_in_throttle.count([account, address])
    assert (found := row(address)) is not None
    assert found.blocked_until is not None
    assert sign_in_throttle.forgive(account, address) == 2
    assert row(account) is None
    assert (found := row(address)) is not None
    assert (found.failures, found.blocked_until) == (2, None)
    assert sign_in_throttle.forgive(account) == 0
    for _ in range(3):
        sign_in_throttle.forgive(account, address)
    assert (found := row(address)) is not None
    assert found.failures == 0


def test_what_is_a_day_old_is_forgotten_and_not_a_minute_less(app: Flask) -> None:
    old, young = (Key(f"email:{name}", 5) for name in ("old", "young"))
    sign_in_throttle.count([old])
    let_pass(2 * MINUTE)
    sign_in_throttle.count([young])
    let_pass(24 * HOUR - MINUTE)
    sign_in_throttle.remove_old()
    session().rollback()
    assert row(old) is None
    assert row(young) is not None
