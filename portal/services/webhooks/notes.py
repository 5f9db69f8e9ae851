"""Keep one note for colleagues on each webhook, also on one that works or is off."""

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from portal.database.engine import AnyRow
from portal.models.webhooks import Webhook
from portal.services import audit
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import database_time, writing
from portal.services.webhooks.rows import lock_webhook, target_of

PERMISSION: Final = "deliveries.retry"
LONGEST: Final = 5_000
TOO_LONG: Final = f"Enter at most {LONGEST:,} characters"
CHANGED: Final = "Compare yours with the note above. {by} saved it after you opened this page"
REMOVED: Final = "Save again to add yours. The earlier note was removed after you opened it"
# The columns that `note_of` reads.
COLUMNS: Final = (Webhook.note, Webhook.note_by, Webhook.note_at)


class Note(NamedTuple):
    """A note with its last author and time."""

    text: str
    by: str
    at: datetime


class NoteChanged(Refusal):
    """A refusal because the note isn't the one that the actor has seen."""

    def __init__(self, now: Note | None) -> None:
        super().__init__(CHANGED.format(by=now.by) if now else REMOVED, field="note")


def note_of(webhook: Webhook | AnyRow) -> Note | None:
    """Return a webhook's note, or None."""
    at = webhook.note_at
    return Note(webhook.note or "", webhook.note_by or "", at) if at else None


def save(actor: Actor, public_id: UUID, text: str, seen: datetime | None) -> bool:
    """Replace a webhook's note, or remove it if `text` is empty. Return whether it changed.

    `seen`: the time of the note that the actor replaces. Raises `NoteChanged` for any other.
    """
    if len(text) > LONGEST:
        raise Refusal(TOO_LONG, field="note")
    with writing() as current:
        require(current, actor, PERMISSION)
        webhook = lock_webhook(current, public_id)
        note = note_of(webhook)
        before = note.text if note else ""
        if text == before:
            return False
        if seen != (note.at if note else None):
            raise NoteChanged(note)
        webhook.note = webhook.note_by = webhook.note_by_id = webhook.note_at = None
        if text:
            webhook.note, webhook.note_at = text, database_time(current)
            webhook.note_by, webhook.note_by_id = actor.name, actor.user_id
        action = "note_removed" if not text else "noted" if before else "note_added"
        changes = {"note": {"from": before or None, "to": text or None}}
        audit.record(
            current, actor, f"webhook.{action}", target=target_of(webhook), changes=changes
        )
        return True
