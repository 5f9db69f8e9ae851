"""`flask retry`: send once more, from a terminal, what failed lately."""

import re
from datetime import timedelta
from typing import Final

import click

from portal.commands.actor import COMMAND_LINE
from portal.config.exit_codes import USUAL
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.services.bulk_retry import selection
from portal.services.bulk_retry import task as bulk_retry_task
from portal.services.bulk_retry.selection import Count, Selection
from portal.services.core.refusals import Refusal
from portal.services.deliveries.log.filters import LogFilter, StatusFilter

UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
LONGEST: Final = timedelta(days=3650)


def read_span(_context: click.Context, _option: click.Parameter, text: str) -> timedelta:
    """ "90m", "24h" or "7d" as a span of time."""
    found = re.fullmatch(r"([0-9]{1,6})([mhd])", text)
    span = timedelta(**{UNITS[found[2]]: int(found[1])}) if found else timedelta()
    if not timedelta() < span <= LONGEST:
        raise click.BadParameter("Write a number and m, h or d, such as 90m, 24h or 7d.")
    return span


@click.command(epilog=USUAL)
@click.option("--failed", is_flag=True, required=True, help="What is Failed, tests apart.")
@click.option("--since", required=True, callback=read_span, help="Stored within: 90m, 24h, 7d.")
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
def retry(failed: bool, since: timedelta, dry_run: bool) -> None:
    """Send failed deliveries once more, as Retry on the page does: one extra attempt each.

    They go behind everything that is new. The address where it can be followed is printed.
    """
    wanted = LogFilter(status=StatusFilter.FAILED if failed else None, since=utcnow() - since)
    choice = Selection(wanted=wanted, newest=selection.newest_now())
    counted = selection.count(choice)
    _tell(counted)
    if dry_run or not counted.total:
        return
    try:
        batch = bulk_retry_task.start(COMMAND_LINE, choice)
    except Refusal as refusal:
        raise click.ClickException(refusal.sentence) from None
    click.echo(f"Started: {settings().base_url}/batches/{batch}")


def _tell(counted: Count) -> None:
    more = " or more" if counted.is_more else ""
    click.echo(f"Deliveries to retry: {counted.total}{more}")
    for name, count in counted.by_webhook.most_common():
        click.echo(f"{count:>8}  {name}")
    skipped = counted.skipped.total()
    if skipped:
        click.echo(f"Left out, because their webhook is off or deleted: {skipped}")
