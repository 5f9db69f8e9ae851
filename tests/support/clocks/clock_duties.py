"""What the clock brings about: `python -m tests.support.clocks.clock_duties`, with `trusting` even
where it distrusts its own clock."""

import sys
from datetime import timedelta

from jobs.alerts import look_for_alerts
from jobs.context import application
from jobs.reservations import expire_reservations
from jobs.retention import prune
from portal.services.core import heartbeats
from portal.services.operations import clock_check, health
from tests.support.factories import make_asset


def main() -> None:
    """Make an asset, tell what this machine takes for the time, then do each duty once."""
    if "trusting" in sys.argv:
        clock_check.DISTRUSTED = timedelta(days=1000)
    with application().app_context():
        heartbeats.record_own(heartbeats.WEB)
        make_asset("Made there")
        facts = health.read_facts()
        sys.stderr.write(f"Facts: {facts.at.isoformat()} {facts.database.skew}\n")
    for duty in (look_for_alerts, expire_reservations, prune):
        duty()


if __name__ == "__main__":
    main()
