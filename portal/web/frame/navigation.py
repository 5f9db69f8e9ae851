"""The portal's sections and their tabs; what a person may not read is not offered."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from flask import current_app, request


@dataclass(frozen=True, slots=True)
class Place:
    """One page to go to: its label, its stable address and the permission it needs.

    `also`: addresses outside its own that belong to it.
    """

    label: str
    path: str
    permission: str
    also: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The address as the browser must ask for it, also below a prefix."""
        return request.script_root + self.path

    @property
    def is_here(self) -> bool:
        """Whether the page being shown is this one or lies under it, and under no nearer one."""
        return _nearest(request.path) in (self.path, *self.also)


@dataclass(frozen=True, slots=True)
class Section:
    """One entry of the main navigation, with its tabs."""

    label: str
    icon: str
    places: tuple[Place, ...]

    @property
    def url(self) -> str:
        """The address of the first tab."""
        return self.places[0].url

    @property
    def is_here(self) -> bool:
        """Whether one of its pages is being shown."""
        return any(place.is_here for place in self.places)


SECTIONS: Final = (
    Section(
        "Assets",
        "box-seam",
        (
            Place("Assets", "/assets", "assets.read", also=("/tasks",)),
            Place("Reservations", "/reservations", "assets.read"),
            Place("Maintenance", "/maintenance", "assets.read"),
            Place("Alerts", "/alerts", "alerts.read"),
            Place("Staff", "/staff", "assets.read"),
            Place("Categories", "/categories", "assets.read"),
            Place("Locations", "/locations", "assets.read"),
        ),
    ),
    Section(
        "Deliveries",
        "send",
        (Place("Deliveries", "/deliveries", "deliveries.read", also=("/batches",)),),
    ),
    Section(
        "Settings",
        "gear",
        (
            Place("Webhooks", "/settings/webhooks", "webhooks.read", also=("/inbox",)),
            Place("Alerts", "/settings/alerts", "alerts.settings"),
            Place("Users", "/settings/people", "people.manage"),
            Place("Audit", "/settings/audit", "audit.read"),
            Place("System", "/settings/system", "system.read"),
        ),
    ),
    Section("Help", "question-circle", (Place("Help", "/help", "home.read"),)),
)


def navigation() -> list[Section]:
    """The sections that hold something the signed-in person may read, with those tabs alone."""
    can = cast(Callable[[str], bool], current_app.jinja_env.globals["can"])
    sections = (
        Section(each.label, each.icon, tuple(p for p in each.places if can(p.permission)))
        for each in SECTIONS
    )
    return [section for section in sections if section.places]


def section_here() -> Section | None:
    """The section that the page being shown belongs to."""
    return next((section for section in navigation() if section.is_here), None)


def _nearest(path: str) -> str:
    places = (place for section in SECTIONS for place in section.places)
    paths = (path for place in places for path in (place.path, *place.also))
    above = (known for known in paths if path == known or path.startswith(f"{known}/"))
    return max(above, key=len, default="")
