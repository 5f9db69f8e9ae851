"""Run each periodic task once: `python -m tests.support.clocks.clock_tasks [trusting]`.

With `trusting`, retention runs even if it would distrust the clock.
"""

import sys
from datetime import timedelta

from jobs.context import application
from jobs.periodic import expire_reservations, look_for_alerts, prune, turn_on_webhooks
from portal.services.core import heartbeats
from portal.services.operations import health, retention
from tests.support.factories import make_asset
from tests.support.heartbeats import record_own


def main() -> None:
    """Create an asset, print the time as this machine sees it, then run each periodic task once."""
    if "trusting" in sys.argv:
        retention.DISTRUSTED = timedelta(days=1000)
    with application().app_context():
        record_own(heartbeats.WEB)
        make_asset("Made there")
        facts = health.read_facts()
        sys.stderr.write(f"Facts: {facts.at.isoformat()} {facts.database.skew}\n")
    for task in (look_for_alerts, expire_reservations, turn_on_webhooks, prune):
        task()


if __name__ == "__main__":
    main()
