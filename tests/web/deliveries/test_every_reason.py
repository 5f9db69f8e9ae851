"""Every reason, provoked for real by a receiver that misbehaves, in the words that people read."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from flask import Flask

from jobs.deliver import deliver_due
from portal.engine.reasons import Reason
from tests.conftest import put_equipment_away
from tests.support.deliveries import stored
from tests.web.deliveries import failing_receivers
from tests.web.signed_in import visit

HOST = "127.0.0.1"
# What stands on the page: what happened, and what to do next.
WORDS = {
    Reason.DNS: ("We could not find the server erp.example.com.", "Check the address for typing"),
    Reason.REFUSED: (f"{HOST} refused the connection.", "Ask its owner to start it, then Retry."),
    Reason.CONNECT_TIMEOUT: (f"We could not reach {HOST} within", "A firewall may be"),
    Reason.READ_TIMEOUT: (f"{HOST} took too long to answer.", "It may still have received"),
    Reason.UNREACHABLE: ("There is no network route to 93.184.215.14.", "Check the network of"),
    Reason.RESET: (f"{HOST} closed the connection before it answered.", "check their log at"),
    Reason.NO_REPLY: (f"{HOST} closed the connection before it answered.", "check their log at"),
    Reason.BAD_REPLY: ("was not one that a web server gives.", "Check the address and the port."),
    Reason.TLS_EXPIRED: (f"The certificate of {HOST} has expired.", "Ask its owner to renew it."),
    Reason.TLS_UNTRUSTED: (f"The certificate of {HOST} is not trusted.", "a public authority"),
    Reason.TLS_NAME: (f"The certificate of {HOST} belongs to another name.", "Use the name in"),
    Reason.TLS_OTHER: (f"No secure connection to {HOST} could be made.", "begins with http or"),
    Reason.BLOCKED: ("This address is inside a private network", "Use a public address, or have"),
    Reason.BAD_HEADERS: ("A custom header of this webhook may not be sent", "remove that header"),
    Reason.REDIRECT: ("redirected us to another address (https://new.example.com/hook).", "Edit"),
    Reason.BAD_REQUEST: (f"{HOST} did not accept the content.", "Send the help bundle"),
    Reason.AUTH: (f"{HOST} rejected our authentication.", "Compare the secret key and"),
    Reason.FORBIDDEN: (f"{HOST} denied us access.", "Ask its owner for permission."),
    Reason.NOT_FOUND: (f"{HOST} says that nothing is at this address.", "Check the part of the"),
    Reason.METHOD: (f"{HOST} says that this address accepts no deliveries.", "webhook address"),
    Reason.GONE: ("this address is closed for good.", "We turned the webhook off."),
    Reason.CONFLICT: (f"{HOST} says that it has already received this delivery.", "nothing to do."),
    Reason.TOO_LARGE: (f"The delivery is too large for {HOST}.", "Ask its owner to raise"),
    Reason.RATE: (f"{HOST} asked us to slow down.", "Nothing to do: we retry at"),
    Reason.OTHER_4XX: (f"{HOST} rejected the delivery.", "Send the help bundle"),
    Reason.SERVER: (f"{HOST} returned a server error.", "Our side is working. Ask"),
    Reason.UNAVAILABLE: (f"{HOST} is down or restarting.", "Our side is working. Ask"),
    Reason.INTERRUPTED: ("Sending was interrupted", "we send it again, and its id stays"),
    Reason.WEBHOOK_OFF: ("kept 30 days while off", "Turn it on when deliveries"),
    Reason.INTERNAL: (
        "There was a problem in this portal.",
        "Look into the log of this portal for",
    ),
}


@pytest.fixture
def made(app: Flask, tmp_path: Path) -> Iterator[failing_receivers.Made]:
    """A delivery for every reason; the receivers have gone by the time one looks."""
    before, trusted = app.extensions["settings"], trustme.CA()
    bundle = failing_receivers.trust(trusted, tmp_path)
    app.extensions["settings"] = replace(before, webhook_ca_bundle=bundle, webhook_timeout=3)
    try:
        found = failing_receivers.outside()
        with failing_receivers.misbehaving(trusted) as urls:
            found |= failing_receivers.deliveries_to(urls) | failing_receivers.unsendable()
            deliver_due()
        put_equipment_away(app)
        failing_receivers.rest(found)
        stopped = failing_receivers.interrupted()
        failing_receivers.rest(found)
        yield found | stopped | failing_receivers.held_too_long()
    finally:
        app.extensions["settings"] = before


def test_each_is_explained_in_plain_words(app: Flask, made: failing_receivers.Made) -> None:
    assert set(made) == set(WORDS) == set(Reason)
    ended = {reason: stored(public_id)["reason"] for reason, public_id in made.items()}
    assert ended == {reason: str(reason) for reason in Reason} | {Reason.INTERRUPTED: None}
    pages = visit(app)
    for reason, words in WORDS.items():
        main = pages.get(f"/deliveries/{made[reason]}").main
        assert [part for part in words if part not in main] == [], reason
