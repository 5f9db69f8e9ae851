"""`flask forget-secrets`: the keys are lost, and the portal is to start without them."""

import click

from portal.commands.actor import COMMAND_LINE
from portal.config.exit_codes import USUAL
from portal.services.core.refusals import Refusal
from portal.services.webhooks.keys import lost_keys
from portal.services.webhooks.keys.lost_keys import LostKeys


@click.command("forget-secrets", epilog=USUAL)
@click.option("--dry-run", is_flag=True, help="Only say what does not open.")
def forget_secrets(dry_run: bool) -> None:
    """Start anew when keys of ENCRYPTION_KEYS are lost for good.

    Every secret is tried. Webhooks of which one does not open are turned off, and what happens
    meanwhile is held for them; then the portal starts with the present keys. Nothing is erased:
    where the keys are found again, set them behind the new one and turn the webhooks on. Refused
    while the portal runs.
    """
    try:
        found = lost_keys.look() if dry_run else lost_keys.forget(COMMAND_LINE)
    except Refusal as refusal:
        raise click.ClickException(refusal.sentence) from None
    _tell_lost(found, dry_run=dry_run)


def _tell_lost(found: LostKeys, *, dry_run: bool) -> None:
    for each in found.webhooks:
        click.echo(f"{each.name}: {' and '.join(each.parts)}")
    if found.is_empty:
        click.echo("Everything opens with these keys. Nothing was changed.")
    elif dry_run:
        click.echo(
            f"Webhooks that would be turned off: {len(found.webhooks)}. This was a dry run: "
            "nothing was changed."
        )
    else:
        click.echo(
            f"Webhooks that are off now, if they were not: {len(found.webhooks)}. Start the "
            "portal, enter their secrets anew (Edit), and turn them on."
        )
