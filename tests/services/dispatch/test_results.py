"""How long an attempt took, by the milliseconds of its parts."""

from flask import Flask

from tests.jobs.pump.delivery_clock import claim, ended
from tests.support.factories import make_webhook, publish


def test_it_took_as_long_as_its_whole_and_no_time_when_nothing_was_measured(app: Flask) -> None:
    make_webhook()
    publish()
    (claimed,) = claim()
    result = ended(claimed)
    assert result._replace(phases={"name": 3.0, "total": 12.6}).took_ms == 13
    assert result._replace(phases={"total": None}).took_ms == 0
    assert result._replace(phases={}).took_ms == 0
