"""A machine that does not reach what others do is named: in words, and in figures."""

import re

import pytest
from flask import Flask

from portal.services.core.unit_of_work import writing
from portal.services.operations.findings import Finding, find
from portal.services.operations.health import read_facts
from portal.services.outbox import reach
from portal.web.operations.metrics import exposition
from tests.services.dispatch.sending_machines import Machine, machines
from tests.support.factories import make_webhook, publish

pytestmark = pytest.mark.usefixtures("app")

# With its year, if that has ended since.
MOMENT = r"\d+ [A-Z]\w+( \d{4})? \d\d:\d\d \(Europe/Vienna\)"


def found() -> dict[str, Finding]:
    facts = read_facts()
    named = {each.key: each for each in find(facts, facts.at)}
    return {key: each for key, each in named.items() if key.startswith("sender_")}


def unreached(first: Machine, second: Machine, count: int) -> None:
    """The first does not reach so many receivers, and the second does."""
    for _ in range(count):
        make_webhook()
    publish()
    first.fail()
    second.deliver()
    first.knock(reached=False)


def test_nobody_is_named_before_somebody_else_has_delivered() -> None:
    first, _ = machines(2)
    make_webhook()
    publish()
    first.fail()
    first.knock(reached=False)
    assert found() == {}


@pytest.mark.parametrize(("count", "which"), [(1, "one receiver"), (2, "2 receivers")])
def test_a_machine_that_misses_some_is_named(count: int, which: str) -> None:
    unreached(*machines(2), count)
    (finding,) = found().values()
    assert finding.key == "sender_unreached"
    pattern = rf"m1 has not been able to reach {which} since {MOMENT}\. Other machines reach "
    assert re.match(pattern, finding.title)


def test_a_machine_on_the_bench_is_named_with_what_to_do_until_it_is_back(app: Flask) -> None:
    first, second = machines(2)
    unreached(first, second, 3)
    assert first.judge()
    (finding,) = found().values()
    assert finding.key == "sender_benched"
    assert re.match(rf"m1 has not been able to reach receivers since {MOMENT}\. ", finding.title)
    assert "name servers" in finding.todo
    assert benched(app) == {"m1": 1.0, "m2": 0.0}
    first.knock(reached=True)
    assert first.judge() is False
    assert found() == {}
    assert benched(app) == {"m1": 0.0, "m2": 0.0}


def benched(app: Flask) -> dict[str, float]:
    """What a scrape is told."""
    with app.app_context():
        lines = exposition().decode().splitlines()
    pattern = re.compile(r'asset_webhooks_benched\{machine="(\w+)"\} (.+)')
    return {match[1]: float(match[2]) for line in lines if (match := pattern.match(line))}


def test_the_doubts_of_one_webhook_go_when_its_address_changes() -> None:
    first, second = machines(2)
    unreached(first, second, 1)
    with writing() as current:
        (webhook_id,) = reach.find_doubts(current.connection())
        reach.forget_webhook(current.connection(), webhook_id)
    assert found() == {}


def test_of_some_webhooks_only_their_own_doubts_are_read() -> None:
    first, second = machines(2)
    unreached(first, second, 3)
    with writing() as current:
        every = sorted(reach.find_doubts(current.connection()))
        some = reach.find_doubts(current.connection(), every[1:])
    assert (len(every), sorted(some)) == (3, every[1:])
