"""Revoke a program's token, and turn off the webhooks that it has made."""

from uuid import UUID

from portal.services.core.permissions import Actor
from portal.services.core.unit_of_work import writing
from portal.services.people import tokens
from portal.services.webhooks import queries, turn_on_off


def revoke(actor: Actor, public_id: UUID, *, turns_off: bool) -> str:
    """End the token for good; return its name. `turns_off`: its webhooks, too, in the same
    transaction."""
    with writing():
        row_id = tokens.find(public_id).id
        name = tokens.revoke(actor, public_id)
        for webhook, _ in queries.of_token(row_id) if turns_off else ():
            turn_on_off.turn_off(actor, webhook)
        return name
