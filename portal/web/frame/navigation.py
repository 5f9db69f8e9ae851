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
    """One entry of the main navigation, with its tabs.

    A page belongs to the first section that names it; a later one may have a tab that leads there.
    """

    label: str
    places: tuple[Place, ...]

    @property
    def url(self) -> str:
        """The address of its first own page."""
        return self.own[0].url

    @property
    def own(self) -> tuple[Place, ...]:
        """The places that no earlier section has."""
        return tuple(place for place in self.places if _home(place) == self.label)

    @property
    def is_here(self) -> bool:
        """Whether one of its own pages is being shown."""
        return any(place.is_here for place in self.own)


WEBHOOKS: Final = Place("Webhooks", "/settings/webhooks", "webhooks.read", also=("/inbox",))

SECTIONS: Final = (
    Section(
        "Assets",
        (
            Place("Assets", "/assets", "assets.read", also=("/tasks",)),
            Place("Reservations", "/reservations", "assets.read"),
            Place("Maintenance", "/maintenance", "assets.read"),
            Place("Staff", "/staff", "assets.read"),
            Place("Categories", "/categories", "assets.read"),
            Place("Locations", "/locations", "assets.read"),
        ),
    ),
    Section(
        "Deliveries",
        (Place("Deliveries", "/deliveries", "deliveries.read", also=("/batches",)),),
    ),
    Section("Webhooks", (WEBHOOKS,)),
    Section("Alerts", (Place("Alerts", "/alerts", "alerts.read"),)),
    Section(
        "Settings",
        (
            WEBHOOKS,
            Place("Alerts", "/settings/alerts", "alerts.settings"),
            Place("Users", "/settings/people", "people.manage"),
            Place("Audit", "/settings/audit", "audit.read"),
            Place("System", "/settings/system", "system.read"),
        ),
    ),
    Section("Help", (Place("Help", "/help", "home.read"),)),
)


def navigation() -> list[Section]:
    """The sections that hold something the signed-in person may read, with those tabs alone."""
    can = cast(Callable[[str], bool], current_app.jinja_env.globals["can"])
    sections = (
        Section(each.label, tuple(p for p in each.places if can(p.permission))) for each in SECTIONS
    )
    return [section for section in sections if section.own]


def section_here() -> Section | None:
    """The section that the page being shown belongs to."""
    return next((section for section in navigation() if section.is_here), None)


def _home(place: Place) -> str:
    return next(section.label for section in SECTIONS if place in section.places)


def _nearest(path: str) -> str:
    places = (place for section in SECTIONS for place in section.places)
    paths = (path for place in places for path in (place.path, *place.also))
    above = (known for known in paths if path == known or path.startswith(f"{known}/"))
    return max(above, key=len, default="")
