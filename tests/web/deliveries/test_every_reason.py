"""Every failure reason, caused by a real misbehaving receiver, is explained on its page."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from flask import Flask

from jobs.deliver import deliver_due
from portal.engine.reasons import Reason, title
from tests.conftest import put_equipment_away
from tests.support.deliveries import stored
from tests.web.deliveries import failing_receivers
from tests.web.signed_in import visit


@pytest.fixture
def made(app: Flask, tmp_path: Path) -> Iterator[failing_receivers.Made]:
    """Make a delivery for every reason. The receivers are closed before the test starts."""
    before, trusted = app.extensions["settings"], trustme.CA()
    bundle = failing_receivers.trust(trusted, tmp_path)
    app.extensions["settings"] = replace(before, webhook_ca_bundle=bundle, webhook_timeout=3)
    try:
        deliveries = failing_receivers.outside()
        with failing_receivers.misbehaving(trusted) as urls:
            deliveries |= failing_receivers.deliveries_to(urls) | failing_receivers.unsendable()
            deliver_due()
        put_equipment_away(app)
        failing_receivers.rest(deliveries)
        stopped = failing_receivers.interrupted()
        failing_receivers.rest(deliveries)
        yield deliveries | stopped | failing_receivers.held_too_long()
    finally:
        app.extensions["settings"] = before


def test_each_reason_is_explained_in_plain_words(app: Flask, made: failing_receivers.Made) -> None:
    assert set(made) == set(Reason)
    ended = {reason: stored(public_id)["reason"] for reason, public_id in made.items()}
    assert ended == {reason: str(reason) for reason in Reason} | {Reason.INTERRUPTED: None}
    pages = visit(app)
    unexplained = {
        reason
        for reason, public_id in made.items()
        if title(reason) not in pages.get(f"/deliveries/{public_id}").main
    }
    assert unexplained == set()
