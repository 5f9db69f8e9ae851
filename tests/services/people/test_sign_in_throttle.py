"""The sign-in throttle: limits, pauses, expiry and locks."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.extensions import db
from portal.lib.ids import public_id
from portal.models.people import SignInThrottle
from portal.services.core.unit_of_work import session, writing
from portal.services.people import sign_in_throttle
from portal.services.people.sign_in import sign_in
from portal.services.people.sign_in_throttle import (
    Key,
    Throttled,
    for_account,
    for_device,
    for_network,
    for_pair,
    network_of,
)
from tests.support.database.rivals import Rival, at_once

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
ANA, HERE = "ana@example.com", "192.0.2.7"


def row(key: Key) -> SignInThrottle | None:
    session().rollback()
    return session().get(SignInThrottle, key.digest)


def tried(key: Key, times: int) -> list[list[Key]]:
    """Count tries without pauses, and return the keys that start to wait after each try."""
    reached = []
    for _ in range(times):
        with writing() as current:
            current.execute(update(SignInThrottle).values(blocked_until=None))
        reached.append(sign_in_throttle.count([key]))
    return reached


def let_pass(length: timedelta) -> None:
    with writing() as current:
        for row in current.scalars(select(SignInThrottle)):
            row.first_failed_at -= length
            row.last_failed_at -= length
            if row.blocked_until:
                row.blocked_until -= length


def waits(*keys: Key) -> int:
    """Return how many seconds the next try has to wait."""
    session().rollback()
    try:
        sign_in_throttle.check(keys)
    except Throttled as refusal:
        return refusal.seconds
    return 0


def test_the_limits_match_the_documentation() -> None:
    device = uuid4()
    limits = {for_device(7, device): 5, for_pair(ANA, HERE): 5, for_network(HERE): 20,
              for_account(ANA): 100}  # fmt: skip
    assert {key: key.limit for key in limits} == limits
    different = (*limits, for_device(7, uuid4()), for_device(8, device))
    assert len({key.digest for key in different}) == 6
    assert [for_account(ANA).pause(n) for n in (99, 100, 101, 999)] == [0, 900, 900, 900]


def test_a_network_is_an_ipv4_address_or_an_ipv6_64_prefix() -> None:
    for address, network in (
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::ffff:c000:207", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::"),
        ("2001:db8:1:2:f::9", "2001:db8:1:2::"),
        ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ("fe80::1%eth0", "fe80::"),
        ("2002:c000:207::1", "2002:c000:207::"),  # 6to4, and below NAT64: networks of their own
        ("64:ff9b::c000:207", "64:ff9b::"),
        ("::1", "::"),
        (None, "unknown"),
        ("no address", "unknown"),
    ):
        assert network_of(address) == network, address


def test_the_table_reveals_neither_person_nor_network(app: Flask) -> None:
    sign_in_throttle.count([for_pair(ANA, HERE), for_network(HERE), for_account(ANA)])
    kept = session().scalars(select(SignInThrottle.key)).all()
    assert len(kept) == 3
    for digest in kept:
        assert len(digest) == 64
        assert int(digest, 16) >= 0
        assert ANA not in digest
        assert HERE not in digest


def test_only_the_try_that_reaches_the_limit_is_reported(app: Flask) -> None:
    key = for_pair(ANA, HERE)
    assert tried(key, 7) == [[], [], [], [], [key], [], []]


def test_the_count_starts_again_after_a_quiet_hour(app: Flask) -> None:
    key = for_pair(ANA, HERE)
    tried(key, 3)
    let_pass(HOUR - MINUTE)
    tried(key, 1)
    assert (stored := row(key)) is not None
    assert stored.failures == 4
    let_pass(HOUR + MINUTE)
    tried(key, 1)
    assert (stored := row(key)) is not None
    assert stored.failures == 1


def test_tries_of_an_account_are_counted_by_the_hour_without_a_quiet_hour(app: Flask) -> None:
    key = for_account(ANA)
    tried(key, 60)
    let_pass(HOUR - MINUTE)
    assert tried(key, 40)[-1] == [key], "a hundred within an hour"
    assert 895 <= waits(key) <= 900
    let_pass(2 * MINUTE)
    tried(key, 1)
    assert (stored := row(key)) is not None
    assert stored.failures == 1, "the hour is over, although it was never quiet"
    assert waits(key) == 0
    with writing() as current:
        current.execute(update(SignInThrottle).values(failures=99))
    assert tried(key, 1) == [[key]], "and another hour has begun"


def test_a_try_during_a_wait_is_not_counted_and_shows_the_longest_wait(app: Flask) -> None:
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


def test_the_wait_is_rounded_up_and_never_zero() -> None:
    for seconds, expected, words in (
        (0, 1, "1 second"),
        (0.2, 1, "1 second"),
        (29.2, 30, "30 seconds"),
        (60, 60, "1 minute"),
        (61, 61, "2 minutes"),
        (899.5, 900, "15 minutes"),
    ):
        refusal = Throttled(seconds)
        assert refusal.seconds == expected, seconds
        assert f"Wait {words}, then try again" in refusal.sentence, seconds


def test_a_right_try_clears_its_own_key_and_refunds_the_others(app: Flask) -> None:
    pair, network, account = for_pair(ANA, HERE), Key("network:b", 3), for_account(ANA)
    for _ in range(3):
        sign_in_throttle.count([pair, network, account])
    assert waits(network) >= 29
    assert sign_in_throttle.forgive(pair, network, account) == [2, 2, 2]
    assert row(pair) is None
    for shared in (network, account):
        assert (stored := row(shared)) is not None
        assert (stored.failures, stored.blocked_until) == (2, None)
    assert sign_in_throttle.forgive(pair) == [0]
    for _ in range(3):
        sign_in_throttle.forgive(pair, network)
    assert (stored := row(network)) is not None
    assert stored.failures == 0


def test_a_key_is_removed_after_a_day_and_not_a_minute_earlier(app: Flask) -> None:
    old, young = (Key(f"email:{name}", 5) for name in ("old", "young"))
    sign_in_throttle.count([old])
    let_pass(2 * MINUTE)
    sign_in_throttle.count([young])
    let_pass(24 * HOUR - MINUTE)
    sign_in_throttle.remove_old()
    session().rollback()
    assert row(old) is None
    assert row(young) is not None


def test_concurrent_attempts_cannot_exceed_a_limit(app: Flask) -> None:
    for limited in ("device", "pair", "network", "account"):
        key = {
            "device": for_device(1, public_id()),
            "pair": for_pair(ANA, HERE),
            "network": for_network(HERE),
            "account": for_account(ANA),
        }[limited]
        tried(key, key.limit - 3)
        others = [[key, for_account(f"{number}@example.com")] for number in range(8)]
        results = at_once(app, [partial(sign_in_throttle.count, keys) for keys in others])
        assert sum(isinstance(result, Throttled) for result in results) == 5, limited
        assert (stored := row(key)) is not None, limited
        assert stored.failures == key.limit, limited


def test_keys_in_another_order_cause_no_deadlock(app: Flask) -> None:
    first, second = sorted([for_pair(ANA, HERE), for_network(HERE)])
    sign_in_throttle.count([first, second])
    rival = Rival(app, partial(sign_in_throttle.count, [second, first]))
    with writing() as current:
        current.get_one(SignInThrottle, first.digest, with_for_update=True)
        rival.begin()
        held = current.get_one(SignInThrottle, second.digest, with_for_update=True)
        held.failures = 7
    rival.finish()
    counted = [stored.failures for key in (first, second) if (stored := row(key))]
    assert counted == [2, 8]


def test_a_wait_is_reported_while_another_transaction_holds_the_locks(app: Flask) -> None:
    email = "nobody@example.com"
    pair = for_pair(email, HERE)
    tried(pair, 5)

    def knock() -> Exception | None:
        with app.app_context():
            try:
                sign_in(email, "a guess", HERE)
            except Throttled as refusal:
                return refusal
            finally:
                db.session.remove()
        return None

    with writing() as current, ThreadPoolExecutor(1) as pool:
        held = current.get_one(SignInThrottle, pair.digest, with_for_update=True)
        kept = (held.failures, held.last_failed_at, held.blocked_until)
        answer = pool.submit(knock).result(timeout=5)  # shorter than the wait for a lock
    assert isinstance(answer, Throttled)
    assert (stored := row(pair)) is not None
    assert (stored.failures, stored.last_failed_at, stored.blocked_until) == kept
    assert row(for_account(email)) is None, "a refused try is counted nowhere"
