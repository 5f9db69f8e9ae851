"""What one action's page is made of: a row in a table, from which its route and button come."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from portal.models.assets import Action, Asset, AssetStatus
from portal.services.actions.status_rules import RULES, Rule
from portal.services.core.permissions import Actor
from portal.web.actions.forms import ActionForm

NOWHERE: Final[frozenset[AssetStatus]] = frozenset()


@dataclass(frozen=True, slots=True)
class Doing:
    """One submission: who does it with which asset, what was typed, and the further subject."""

    actor: Actor
    asset_id: int
    form: Any
    subject: UUID | None = None


def doing(verb: Callable[..., object]) -> Callable[[Doing], object]:
    """Do it by a verb of the services, whose arguments are named as the fields of the form."""

    def run(it: Doing) -> object:
        return verb(it.actor, it.asset_id, **it.form.filled())

    return run


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionPage:
    """One action with its form at `/assets/<id>/<slug>`, or `/assets/<id>/<slug>/<subject>`.

    `run` calls the one service verb. `title` and `done`, the flash, may name {tag}, {name} and
    {holder}. `main` are the statuses in which its button stands in front; elsewhere it is under
    More. `tab`: the route of the asset's tab to which it leads back. With a subject (a reservation,
    a maintenance) it has no button on the asset page; a list beside links to it. `context` gives
    its template further values. `way_back`: the link beside the button.
    """

    action: Action
    slug: str
    label: str
    icon: str
    title: str
    done: str
    form: type[ActionForm]
    run: Callable[[Doing], object]
    lede: str = ""
    submit: str = ""
    kind: str = "primary"
    way_back: str = "Cancel"
    main: frozenset[AssetStatus] = NOWHERE
    tab: str = "assets.show"
    with_subject: bool = False
    template: str = "actions/form.html"
    context: Callable[[Asset, UUID | None], dict[str, Any]] | None = None

    @property
    def rule(self) -> Rule:
        """Where it is legal, and what it tells."""
        return RULES[self.action]

    @property
    def endpoint(self) -> str:
        """The name of its route."""
        return f"actions.{self.action}"

    @property
    def submit_label(self) -> str:
        """The words on the button that does it."""
        return self.submit or self.label
