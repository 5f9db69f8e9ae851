"""While a replaced secret overlaps, receivers with either key keep working."""

import hmac
from datetime import timedelta

import pytest
from standardwebhooks import Webhook as Standard

from jobs.deliver import deliver_due
from portal.lib.clock import utcnow
from portal.models.webhooks import Webhook
from portal.services.core import vault
from portal.services.core.unit_of_work import writing
from portal.services.webhooks import crud
from portal.services.webhooks.rules import SecretMode, WebhookValues
from tests.support.factories import make_user, make_webhook, publish
from tests.support.receiver import Received, Receiver

OLD = "whsec_b2xkIHNlY3JldCBvZiB0aGUgb3ZlcmxhcCB0ZXN0cw=="
NEW = "whsec_bmV3IHNlY3JldCBvZiB0aGUgb3ZlcmxhcCB0ZXN0cw=="

pytestmark = pytest.mark.usefixtures("app")


def replaced(receiver: Receiver, until: timedelta = timedelta(hours=24)) -> int:
    """Return the ID of a webhook whose secret was just replaced."""
    hook = make_webhook(receiver.url, secret=NEW)
    with writing() as current:
        webhook = current.get_one(Webhook, hook.id)
        webhook.old_secret_enc = vault.seal_secret(hook.id, OLD)
        webhook.old_until = utcnow() + until
    return hook.id


def deliver(receiver: Receiver) -> Received:
    publish()
    deliver_due()
    return receiver.received[-1]


def house(body: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), body, "sha256").hexdigest()


def test_the_old_key_stays_in_the_usual_signature_header(receiver: Receiver) -> None:
    replaced(receiver)
    received = deliver(receiver)
    assert received.header("X-Asset-Webhook-Signature") == house(received.body, OLD)
    assert received.header("X-Asset-Webhook-Signature-Next") == house(received.body, NEW)
    headers = {name.lower(): value for name, value in received.headers}
    for secret in (OLD, NEW):
        Standard(secret).verify(received.body, headers)


def test_each_webhook_has_its_own_key_and_headers_in_one_claim(receiver: Receiver) -> None:
    keys = {"first": OLD, "second": NEW}
    for name, key in keys.items():
        make_webhook(f"{receiver.url}{name}", secret=key, headers=[("X-Name", name)])
    for number in range(2):
        publish(asset_id=number + 1)
    deliver_due()
    assert sorted(got.path for got in receiver.received) == ["/first"] * 2 + ["/second"] * 2
    for received in receiver.received:
        name = received.path.removeprefix("/")
        assert received.header("X-Name") == name
        assert received.header("X-Asset-Webhook-Signature") == house(received.body, keys[name])


def test_after_two_replacements_a_receiver_with_the_first_key_still_works(
    receiver: Receiver,
) -> None:
    hook = make_webhook(receiver.url, secret=OLD, name="ERP")
    ana = make_user().actor
    for version, secret in ((1, "one that lasted for one hour"), (2, NEW)):
        secret_values = {"secret_mode": SecretMode.OWN, "secret": secret}
        typed = WebhookValues(
            name="ERP", url=receiver.url, events=("asset.created",), **secret_values
        )
        crud.edit(ana, hook.public_id, version, typed)
    received = deliver(receiver)
    assert received.header("X-Asset-Webhook-Signature") == house(received.body, OLD)
    assert received.header("X-Asset-Webhook-Signature-Next") == house(received.body, NEW)
