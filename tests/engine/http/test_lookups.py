"""The queue of name lookups: turns, slots, and memory, on a clock that the test moves."""

from collections.abc import Iterable

import pytest

from portal.engine.http.name_lookups import Lookups, Name, name_of


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lookups(clock: Clock) -> Lookups[str]:
    return Lookups(clock)


def name(host: str | int, port: int = 443) -> Name:
    return Name(f"{host}.example.com", port)


def ask(lookups: Lookups[str], *hosts: str | int, until: float = 1e9) -> list[str]:
    """Ask for each host, and return the hosts that may start at once."""
    return [str(host) for host in hosts if lookups.ask(name(host), until, str(host))]


def fail(lookups: Lookups[str], hosts: Iterable[str | int], *, hangs: bool = False) -> None:
    for host in hosts:
        lookups.lost(name(host), hangs=hangs)


def test_a_host_is_looked_up_once_at_a_time(lookups: Lookups[str]) -> None:
    assert ask(lookups, "a", "a", "b") == ["a", "b"]
    assert lookups.ready() == []
    lookups.found(name("a"))
    assert lookups.is_known(name("a"))
    assert lookups.ready() == ["a"]
    assert lookups.ask(name("a", 8443), 1e9, "other")  # "a" needed no lookup of its own


def test_a_second_port_of_a_host_waits_for_the_first(lookups: Lookups[str]) -> None:
    assert lookups.ask(name("a"), 1e9, "first")
    assert not lookups.ask(name("a", 8443), 1e9, "second")
    lookups.found(name("a"))
    assert not lookups.is_known(name("a", 8443))
    assert lookups.ready() == ["second"]


def test_unknown_hosts_leave_slots_for_known_hosts(lookups: Lookups[str]) -> None:
    ask(lookups, "good", "fine")
    lookups.found(name("good", 80))
    lookups.found(name("fine", 80))
    assert len(ask(lookups, *range(24))) == 8
    assert ask(lookups, "good", "fine", "stranger") == ["good", "fine"]


def test_at_most_ten_known_hosts_are_looked_up_at_once(lookups: Lookups[str]) -> None:
    for host in range(12):
        lookups.found(name(host, 80))
    assert len(ask(lookups, *range(12))) == 10


def test_failed_hosts_share_five_slots(lookups: Lookups[str]) -> None:
    for batch in (range(8), range(8, 16)):
        ask(lookups, *batch)
        fail(lookups, batch)
    assert len(ask(lookups, *range(16))) == 5
    assert ask(lookups, "a", "b", "c", "d") == ["a", "b", "c"]
    fail(lookups, range(5))
    assert lookups.ready() == ["d", "5", "6", "7", "8"]  # eight in total


def test_a_slow_lookup_marks_a_host_and_a_quick_one_clears_it(
    lookups: Lookups[str], clock: Clock
) -> None:
    ask(lookups, *range(6))
    clock.now += 1.1
    for host in range(6):
        lookups.found(name(host))
    clock.now += 60
    assert len(ask(lookups, *range(6))) == 5
    lookups.found(name(0))
    assert lookups.ready() == ["5"]
    clock.now += 60
    assert len(ask(lookups, 0)) == 1


def test_hanging_threads_are_counted_until_the_resolver_gives_up(
    lookups: Lookups[str], clock: Clock
) -> None:
    ask(lookups, "good")
    lookups.found(name("good", 80))
    began = clock.now
    assert len(ask(lookups, *range(8))) == 8
    clock.now = began + 4
    fail(lookups, range(8), hangs=True)
    assert ask(lookups, "stranger", "good") == ["good"]
    clock.now = began + 9.9
    assert lookups.ready() == []
    clock.now = began + 10
    assert lookups.ready() == ["stranger"]


def test_a_host_that_keeps_hanging_has_at_most_two_slots(
    lookups: Lookups[str], clock: Clock
) -> None:
    for number in range(6):
        lookups.ask(name("slow"), 1e9, str(number), doubted=True)
        if number < 2:
            fail(lookups, ["slow"], hangs=True)
        clock.now += 1
    assert lookups.ready() == []
    assert [lookups.ask(name(host), 1e9, "", doubted=True) for host in "abcd"] == [True] * 3 + [
        False
    ]
    clock.now += 4  # the first of its threads has ended
    assert lookups.ready() == ["2"]


def test_hanging_unknown_hosts_take_no_slot_of_doubted_hosts(lookups: Lookups[str]) -> None:
    assert len(ask(lookups, *range(6))) == 6
    fail(lookups, range(6), hangs=True)
    assert lookups.ask(name(0), 1e9, "0", doubted=True)


def test_known_hosts_start_at_once_however_many_others_hang(
    lookups: Lookups[str], clock: Clock
) -> None:
    for host in ("good", "fine"):
        ask(lookups, host)
        lookups.found(name(host, 80))
    for _ in range(20):
        ask(lookups, *(f"{clock.now}-{number}" for number in range(24)), until=clock.now + 5)
        lookups.ready()
        lookups.overdue()
        clock.now += 0.5
    assert ask(lookups, "good", "fine") == ["good", "fine"]


def test_a_doubted_host_goes_behind_unknown_hosts_until_it_answers(
    lookups: Lookups[str], clock: Clock
) -> None:
    started = [lookups.ask(name(host), 1e9, str(host), doubted=True) for host in range(24)]
    assert sum(started) == 5
    assert ask(lookups, "a", "b") == ["a", "b"]
    lookups.found(name(0))
    clock.now += 60
    assert lookups.ask(name("c"), 1e9, "c", doubted=True)  # the last slot for doubted hosts
    assert lookups.ask(name(0), 1e9, "0", doubted=True)  # its own success counts for more


def test_an_address_is_forgotten_before_libcurl_forgets_it(
    lookups: Lookups[str], clock: Clock
) -> None:
    ask(lookups, "a")
    lookups.found(name("a"))
    clock.now += 54.9
    assert lookups.is_known(name("a"))
    clock.now += 0.2
    assert not lookups.is_known(name("a"))


def test_the_memory_starts_over_after_ten_thousand_hosts(lookups: Lookups[str]) -> None:
    for number in range(10_000):
        lookups.found(name(number))
    assert lookups.is_known(name(0))
    lookups.found(name("one more"))
    assert not lookups.is_known(name(0))
    assert lookups.is_known(name("one more"))


def test_the_memory_starts_over_after_ten_thousand_ports_of_a_host(
    lookups: Lookups[str],
) -> None:
    for port in range(10_000):
        lookups.found(name("a", port))
    lookups.found(name("a", 10_000))
    assert [lookups.is_known(name("a", port)) for port in (0, 10_000)] == [False, True]


def test_the_first_failed_hosts_are_forgotten_after_ten_thousand(
    lookups: Lookups[str],
) -> None:
    fail(lookups, range(10_000))
    assert ask(lookups, *range(6)) == ["0", "1", "2", "3", "4"]
    fail(lookups, ["0", "1", "2", "3", "4", "one more"])
    lookups.ready()
    assert lookups.waiting == 0
    assert ask(lookups, *range(10, 16)) == ["10", "11", "12", "13", "14", "15"]


def test_a_request_that_waits_too_long_is_released(lookups: Lookups[str], clock: Clock) -> None:
    ask(lookups, "a", "a", until=105)
    assert lookups.overdue() == []
    clock.now = 105
    assert lookups.overdue() == ["a"]
    assert lookups.waiting == 0


def test_abandoned_requests_keep_no_turn_and_no_slot(lookups: Lookups[str]) -> None:
    ask(lookups, "a", "a", "b", "b")
    assert lookups.abandon() == ["a", "b"]
    assert (lookups.waiting, lookups.abandon()) == (0, [])
    assert ask(lookups, "a", "b") == ["a", "b"]


def test_a_request_on_an_open_connection_caches_no_address(lookups: Lookups[str]) -> None:
    ask(lookups, "a", "a")
    lookups.spared(name("a"))
    assert not lookups.is_known(name("a"))
    assert lookups.ready() == ["a"]


def test_a_numeric_address_needs_no_lookup() -> None:
    for url, expected in (
        ("https://erp.example.com/x", Name("erp.example.com", 443)),
        ("http://erp.example.com:8080/", Name("erp.example.com", 8080)),
        ("http://erp.example.com/", Name("erp.example.com", 80)),
        ("https://erp.example.com:80/", Name("erp.example.com", 80)),
        ("http://192.0.2.7/", None),
        ("https://[2001:db8::1]:444/", None),
        ("https://[fe80::1%25eth0]/", None),
    ):
        assert name_of(url) == expected, url
