"""The chips above the list of assets: what there is of each, the other filters kept."""

from collections.abc import Mapping
from typing import Final

from portal.models.assets import Action
from portal.services.assets.queries import AssetFilter, Shown, limit_of
from portal.web.frame.page_frame import page_url
from portal.web.frame.tabs import Tab
from portal.web.frame.wording import counted

LABELS: Final[Mapping[Shown | None, str]] = {
    None: "All",
    Shown.FREE: "Free",
    Shown.OUT: "Out",
    Shown.OVERDUE: "Overdue",
    Shown.MAINTENANCE: "In maintenance",
    Shown.BROKEN: "Broken or at warranty",
    Shown.LOST: "Lost",
    Shown.LOW: "Low stock",
}

# What can be done with many at once (`portal.web.assets.bulk_views`), as the list offers it.
BULK_LABELS: Final = (
    (Action.ALLOCATE, "Give permanently"),
    (Action.REVOKE, "Take back"),
    (Action.CHECK_IN, "Check in"),
    (Action.TRANSFER, "Move to another place"),
    (Action.SCHEDULE_MAINTENANCE, "Schedule maintenance"),
    (Action.DELETE, "Delete"),
)


def asset_tabs(chosen: AssetFilter, found: Mapping[Shown | None, int | None]) -> list[Tab]:
    """All of them, with what was counted; what would show nothing only while it is chosen."""
    limit = limit_of(chosen)
    return [
        Tab(
            label,
            page_url(show=each, cursor=None),
            each is chosen.shown,
            None if (number := found[each]) is None else counted(number, limit),
            is_bad=each is Shown.OVERDUE,
        )
        for each, label in LABELS.items()
        if each is None or each is chosen.shown or found[each] != 0
    ]
