"""A process is killed while it turns a webhook on, before it has recorded that."""

from datetime import timedelta

from sqlalchemy import select

from portal.base_app import create_base_app
from portal.config.settings import load_settings
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery
from portal.models.webhooks import Webhook
from portal.queue import notifier
from tests.jobs.worker.conftest import Start
from tests.support.factories import make_webhook, publish

DIE = """
import os, signal
from portal.services.webhooks import turn_on_off
turn_on_off.record_turned_on = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
"""
TURN_ON = """
from jobs.context import application
from portal.services.webhooks import turn_on_off
with application().app_context():
    turn_on_off.turn_on_due()
"""


def test_a_killed_turn_on_leaves_everything_to_the_next_run(
    start: Start, environ: dict[str, str]
) -> None:
    app = create_base_app(load_settings(environ))
    notifier.init_app(app)
    with app.app_context():
        past = utcnow() - timedelta(minutes=1)
        hook = make_webhook(state="off", off_reason="person", off_at=past, off_until=past)
        publish()

        def found() -> tuple[str | None, str | None]:
            db.session.rollback()
            state = select(Webhook.state).where(Webhook.id == hook.id)
            status = select(Delivery.status).where(Delivery.webhook_id == hook.id)
            return db.session.scalar(state), db.session.scalar(status)

        assert start("-c", DIE + TURN_ON).wait() == -9
        assert found() == ("off", "on_hold")
        assert start("-c", TURN_ON).wait() == 0
        assert found() == ("active", "queued")
        db.session.remove()
        db.engine.dispose()
