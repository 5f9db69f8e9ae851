"""`flask sending`: stop all sending, and start it again, from a terminal."""

from typing import Final

import click

from portal.commands.actor import COMMAND_LINE
from portal.config.exit_codes import USUAL
from portal.services.operations.sending import switch

OFF, ON = "off", "on"
# What is asked for → what to say where it was done, and where it was so already.
ANSWERS: Final = {
    OFF: (
        "Sending is stopped for all webhooks. What is being sent now still ends.",
        "Sending was stopped already.",
    ),
    ON: ("Sending is on. What waited goes out now.", "Sending was on already."),
}


@click.command(epilog=USUAL)
@click.argument("state", type=click.Choice([OFF, ON]))
def sending(state: str) -> None:
    """Stop all sending, to every webhook (off), or start it again (on).

    What is being sent when it is stopped ends. Events are still stored; their deliveries wait, and
    go out once it is on.
    """
    is_new = switch.stop(COMMAND_LINE) if state == OFF else switch.start(COMMAND_LINE)
    click.echo(ANSWERS[state][0 if is_new else 1])
