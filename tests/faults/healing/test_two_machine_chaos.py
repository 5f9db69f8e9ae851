"""Minutes of random faults on two senders. In the end, every delivery is accounted for.

`make chaos` runs it for five minutes. `CHAOS_SEED=…` repeats the same faults.
"""

import logging
import os
import random
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from portal.extensions import db
from portal.models.deliveries import Delivery, Event
from portal.services.core.heartbeats import BROKEN_AFTER, SILENT_AFTER
from portal.services.core.refusals import Refusal
from portal.services.webhooks import turn_on_off
from portal.services.webhooks.turn_on_off import HeldChoice
from tests.faults.healing.cable import RECEIVERS
from tests.faults.healing.two_machine_chaos import TwoMachineChaos
from tests.faults.healing.two_senders import receiver_of_both, two_senders
from tests.faults.support.background_load import Crew
from tests.faults.support.delivery_ledger import Excuses, assert_ledger, settled
from tests.faults.support.durations import CHAOS, needs_tun
from tests.faults.support.load import look_again
from tests.support.factories import make_user, make_webhook
from tests.support.processes import until

log = logging.getLogger(__name__)

pytestmark = [
    pytest.mark.timeout(CHAOS + 400),
    pytest.mark.netns(addresses=[RECEIVERS]),
    needs_tun,
]


def test_random_faults_on_two_machines_lose_no_delivery(tmp_path: Path) -> None:
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
    log.warning("CHAOS_SEED=%s", seed)
    with two_senders(tmp_path) as senders, receiver_of_both() as receiver:
        receiver.answer(delay=0.05)
        hooks = [make_webhook(f"{receiver.url}{n}", in_order=n == 0) for n in range(4)]
        admin = make_user()
        crew = Crew(senders.portals[0].app, admin, hooks, None, receiver, seed)
        chaos = TwoMachineChaos(senders, seed)
        crew.start()
        try:
            chaos.go_on(CHAOS)
        finally:
            chaos.heal()
            crew.go_home()
        receiver.calm()
        for hook in hooks:
            with suppress(Refusal):
                turn_on_off.turn_on(admin.actor, hook.public_id, HeldChoice.SEND)
        assert settled(120)
        assert all(until(portal.is_whole, 20) for portal in senders.portals)
        look_again()
        events = set(db.session.scalars(select(Event.id)))
        assert crew.published
        assert set(crew.published) <= events
        statuses = Counter(db.session.scalars(select(Delivery.status)))
        log.warning("%s requests", len(receiver.received))
        log.warning("%s events, %s, %s", len(events), dict(statuses), dict(chaos.done))
        stood_still = SILENT_AFTER - BROKEN_AFTER - timedelta(seconds=1)
        excuses = Excuses(stands_still=stood_still, crashes=chaos.crashes)
        assert_ledger(receiver, len(events) * len(hooks), excuses)
