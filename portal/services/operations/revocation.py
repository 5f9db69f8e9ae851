"""Revoke a program's token, and turn off the webhooks that it made."""

from uuid import UUID

from portal.services.core.permissions import Actor
from portal.services.core.unit_of_work import writing
from portal.services.people import tokens
from portal.services.webhooks import queries, turn_on_off


def revoke(actor: Actor, public_id: UUID, *, turns_off: bool) -> str:
    """Revoke the token and return its name.

    `turns_off` also turns off its webhooks, in the same transaction.
    """
    with writing():
        row_id = tokens.find(public_id).id
        name = tokens.revoke(actor, public_id)
        for webhook, _ in queries.of_token(row_id) if turns_off else ():
            turn_on_off.turn_off(actor, webhook)
        return name
