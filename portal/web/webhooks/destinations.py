"""Where a webhook can go: the gallery’s cards, and what a product’s form begins with."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import url_for

from portal.engine.formats.presets import OWN, PRESETS


@dataclass(frozen=True, slots=True)
class Card:
    """One way to go on from the gallery."""

    title: str
    about: str
    icon: str
    url: str


def cards() -> dict[str, Sequence[Card]]:
    """Return the cards by the title of their group."""
    groups: dict[str, list[Card]] = {}
    for preset in PRESETS.values():
        url = url_for("webhook_forms.new", to=preset.key)
        card = Card(preset.title, preset.about, f"to-{preset.key}", url)
        groups.setdefault(preset.group, []).append(card)
    inbox = Card("Try it here", "Built-in inbox, no URL needed", "to-inbox", url_for("inbox.index"))
    groups[OWN].append(inbox)
    return dict(groups)
