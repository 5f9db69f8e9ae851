"""Define the word, icon, and color of each status, all in this place."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from portal.engine.conditions.sentences import ASSET_STATUSES
from portal.models.deliveries import DeliveryStatus


class Tag(NamedTuple):
    """A status as `status_tag(*tag)` prints it. Tones: success, danger, warning, info, neutral.

    Without an icon, it gets a dot. Webhooks and assets have dots beside the icons of deliveries.
    """

    word: str
    icon: str
    tone: str


DELIVERY: Final[Mapping[str, Tag]] = {
    DeliveryStatus.QUEUED: Tag("Queued", "hourglass-split", "info"),
    DeliveryStatus.RETRYING: Tag("Retrying", "arrow-repeat", "warning"),
    DeliveryStatus.ON_HOLD: Tag("On hold", "inbox", "neutral"),
    DeliveryStatus.DELIVERED: Tag("Delivered", "check2", "success"),
    DeliveryStatus.FAILED: Tag("Failed", "x-octagon", "danger"),
    DeliveryStatus.DISMISSED: Tag("Dismissed", "archive", "neutral"),
}

WEBHOOK: Final[Mapping[str, Tag]] = {
    "active": Tag("Active", "", "success"),
    "off": Tag("Off", "", "neutral"),
    "failing": Tag("Failing", "", "danger"),
}

_ASSET_TONES: Final = {
    "available": "success",
    "maintenance": "warning",
    "warranty": "warning",
    "broken": "danger",
    "lost": "danger",
}
ASSET: Final[Mapping[str, Tag]] = {
    status: Tag(word, "", _ASSET_TONES.get(status, "neutral"))
    for status, word in ASSET_STATUSES.items()
}

TASK: Final[Mapping[str, Tag]] = {
    "waiting": Tag("Waiting", "hourglass-split", "info"),
    "running": Tag("Running", "arrow-repeat", "info"),
    "paused": Tag("Paused", "pause-circle", "warning"),
    "done": Tag("Finished", "check2", "success"),
    "stopped": Tag("Stopped", "slash-circle", "neutral"),
    "failed": Tag("Failed", "x-octagon-fill", "danger"),
}

# A stopped bulk retry while requests are still in progress.
STOPPING: Final = Tag("Stopping", "slash-circle", "info")

# A task that ended with something undone.
PARTLY: Final = Tag("Finished", "exclamation-triangle-fill", "warning")

PERSON: Final[Mapping[str, Tag]] = {
    "active": Tag("Active", "check2", "success"),
    "invited": Tag("Invited", "envelope", "info"),
    "disabled": Tag("Disabled", "slash-circle", "neutral"),
    "current": Tag("Current staff", "check2", "success"),
    "left": Tag("Former staff", "door-open", "neutral"),
    "erased": Tag("Erased", "eraser", "neutral"),
}

TOKEN: Final[Mapping[str, Tag]] = {
    "active": Tag("Active", "check2", "success"),
    "ended": Tag("Ended", "hourglass-bottom", "warning"),
    "revoked": Tag("Revoked", "slash-circle", "neutral"),
}

PROCESS: Final[Mapping[str, Tag]] = {
    "running": Tag("Running", "check2", "success"),
    "silent": Tag("Not responding", "x-octagon-fill", "danger"),
    "never": Tag("Never started", "question-circle-fill", "warning"),
}

ALERT: Final[Mapping[str, Tag]] = {
    "open": Tag("Open", "bell", "warning"),
    "acknowledged": Tag("Acknowledged", "check-lg", "info"),
    "over": Tag("Resolved", "check2", "success"),
}

ALERT_RUN: Final[Mapping[str, Tag]] = {
    "queued": Tag("Queued", "hourglass-split", "info"),
    "working": Tag("Running", "arrow-repeat", "info"),
    "done": Tag("Finished", "check2", "success"),
    "asked": Tag("Needs your answer", "question-circle-fill", "warning"),
    "stopped": Tag("Stopped", "slash-circle", "neutral"),
    "failed": Tag("Failed", "x-octagon-fill", "danger"),
}

RESERVATION: Final[Mapping[str, Tag]] = {
    "pending": Tag("Waiting for approval", "hourglass-split", "warning"),
    "approved": Tag("Approved", "calendar-check", "success"),
    "rejected": Tag("Rejected", "x-circle", "danger"),
    "cancelled": Tag("Canceled", "slash-circle", "neutral"),
    "fulfilled": Tag("Picked up", "check2", "success"),
    "expired": Tag("Expired", "hourglass-bottom", "neutral"),
}

MAINTENANCE: Final[Mapping[str, Tag]] = {
    "scheduled": Tag("Scheduled", "calendar-event", "info"),
    "in_progress": Tag("In progress", "wrench", "warning"),
    "completed": Tag("Completed", "check2", "success"),
    "cancelled": Tag("Canceled", "slash-circle", "neutral"),
}

SIGNATURE: Final[Mapping[str, Tag]] = {
    "good": Tag("Signature verified", "shield-check", "success"),
    "wrong": Tag("Signature doesn’t match", "shield-exclamation", "danger"),
    "missing": Tag("Not signed", "shield-slash", "warning"),
}


def webhook_tag(status: str, backlog: object = None) -> Tag:
    """Return the tag of a webhook, in red when it is off and has a backlog."""
    tag = WEBHOOK[status]
    return tag._replace(tone="danger") if backlog and tag is WEBHOOK["off"] else tag


@dataclass(frozen=True, slots=True)
class Tab:
    """One tab of a list, which keeps the other filters. `count` is its number of rows, in words.

    `is_bad` means that its rows wait for a person.
    """

    label: str
    url: str
    is_here: bool
    count: str | None = None
    is_bad: bool = False
