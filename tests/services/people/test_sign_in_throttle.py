"""The counting of tries: limits, pauses, what is forgotten when, and who waits for whom."""

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
            each.first_failed_at -= length
            each.last_failed_at -= length
            if each.blocked_until:
                each.blocked_until -= length


def waits(*keys: Key) -> int:
    """Seconds that the next try has to wait."""
    session().rollback()
    try:
        sign_in_throttle.check(keys)
    except Throttled as refusal:
        return refusal.seconds
    return 0


def test_the_limits_are_those_that_the_documents_name() -> None:
    device = uuid4()
    limits = {for_device(7, device): 5, for_pair(ANA, HERE): 5, for_network(HERE): 20,
              for_account(ANA): 100}  # fmt: skip
    assert {key: key.limit for key in limits} == limits
    different = (*limits, for_device(7, uuid4()), for_device(8, device))
    assert len({key.digest for key in different}) == 6
    assert [for_account(ANA).pause(n) for n in (99, 100, 101, 999)] == [0, 900, 900, 900]


def test_a_network_is_an_ipv4_address_or_the_64_of_an_ipv6_one() -> None:
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


def test_the_table_tells_neither_who_nor_where(app: Flask) -> None:
    sign_in_throttle.count([for_pair(ANA, HERE), for_network(HERE), for_account(ANA)])
    kept = session().scalars(select(SignInThrottle.key)).all()
    assert len(kept) == 3
    for each in kept:
        assert len(each) == 64
        assert int(each, 16) >= 0
        assert ANA not in each
        assert HERE not in each


def test_the_try_that_reaches_the_limit_is_told_and_no_other(app: Flask) -> None:
    key = for_pair(ANA, HERE)
    assert tried(key, 7) == [[], [], [], [], [key], [], []]


def test_quiet_for_an_hour_and_the_counting_begins_anew(app: Flask) -> None:
    key = for_pair(ANA, HERE)
    tried(key, 3)
    let_pass(HOUR - MINUTE)
    tried(key, 1)
    assert (found := row(key)) is not None
    assert found.failures == 4
    let_pass(HOUR + MINUTE)
    tried(key, 1)
    assert (found := row(key)) is not None
    assert found.failures == 1


def test_an_accounts_tries_are_counted_by_the_hour_and_not_until_it_is_quiet(app: Flask) -> None:
    key = for_account(ANA)
    tried(key, 60)
    let_pass(HOUR - MINUTE)
    assert tried(key, 40)[-1] == [key], "a hundred within an hour"
    assert 895 <= waits(key) <= 900
    let_pass(2 * MINUTE)
    tried(key, 1)
    assert (found := row(key)) is not None
    assert found.failures == 1, "the hour is over, although it was never quiet"
    assert waits(key) == 0
    with writing() as current:
        current.execute(update(SignInThrottle).values(failures=99))
    assert tried(key, 1) == [[key]], "and another hour has begun"


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


def test_the_wait_is_told_as_no_less_than_it_is_and_never_as_none() -> None:
    for seconds, told, words in (
        (0, 1, "1 second"),
        (0.2, 1, "1 second"),
        (29.2, 30, "30 seconds"),
        (60, 60, "1 minute"),
        (61, 61, "2 minutes"),
        (899.5, 900, "15 minutes"),
    ):
        refusal = Throttled(seconds)
        assert refusal.seconds == told, seconds
        assert f"Wait {words}, then try again" in refusal.sentence, seconds


def test_a_right_try_frees_its_own_key_and_gives_the_others_back_that_one(app: Flask) -> None:
    pair, network, account = for_pair(ANA, HERE), Key("network:b", 3), for_account(ANA)
    for _ in range(3):
        sign_in_throttle.count([pair, network, account])
    assert waits(network) >= 29
    assert sign_in_throttle.forgive(pair, network, account) == [2, 2, 2]
    assert row(pair) is None
    for shared in (network, account):
        assert (found := row(shared)) is not None
        assert (found.failures, found.blocked_until) == (2, None)
    assert sign_in_throttle.forgive(pair) == [0]
    for _ in range(3):
        sign_in_throttle.forgive(pair, network)
    assert (found := row(network)) is not None
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


def test_of_many_attempts_at_one_moment_none_slips_past_a_limit(app: Flask) -> None:
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
        assert sum(isinstance(each, Throttled) for each in results) == 5, limited
        assert (found := row(key)) is not None, limited
        assert found.failures == key.limit, limited


def test_who_names_the_keys_in_another_order_waits_and_holds_nobody_up(app: Flask) -> None:
    first, second = sorted([for_pair(ANA, HERE), for_network(HERE)])
    sign_in_throttle.count([first, second])
    rival = Rival(app, partial(sign_in_throttle.count, [second, first]))
    with writing() as current:
        current.get_one(SignInThrottle, first.digest, with_for_update=True)
        rival.begin()
        held = current.get_one(SignInThrottle, second.digest, with_for_update=True)
        held.failures = 7
    rival.finish()
    counted = [found.failures for key in (first, second) if (found := row(key))]
    assert counted == [2, 8]


def test_who_waits_is_told_by_a_read_while_somebody_else_holds_the_locks(app: Flask) -> None:
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
        answer = pool.submit(knock).result(timeout=5)  # less than a lock is waited for
    assert isinstance(answer, Throttled)
    assert (found := row(pair)) is not None
    assert (found.failures, found.last_failed_at, found.blocked_until) == kept
    assert row(for_account(email)) is None, "a refused try is counted nowhere"
