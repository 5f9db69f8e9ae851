"""Every step of reservations and maintenance through its page, in every status."""

from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from flask import Flask

from portal.models.assets import Action, AssetStatus
from portal.services.actions.rules import RULES, why_not
from portal.services.actions.verbs import VERBS
from portal.services.core.time_zones import today
from tests.services.actions.plan_examples import at, told
from tests.services.actions.planned_asset import LATER, Planned, is_to_be_taken, planned_in
from tests.support.factories import make_asset, make_staff
from tests.support.pages import Pages
from tests.web.signed_in import visit


def moment(hours: float) -> str:
    """Format a time as a browser sends it."""
    return f"{at(LATER + hours):%Y-%m-%dT%H:%M}"


# The subject of each step, and the values that a person enters.
Step = tuple[Callable[[Planned], UUID | None], Callable[[], dict[str, Any]]]
STEPS: Final[Mapping[Action, Step]] = {
    Action.RESERVE: (
        lambda _: None,
        lambda: {"staff_id": make_staff(), "starts_at": moment(96), "ends_at": moment(97)},
    ),
    Action.APPROVE_RESERVATION: (lambda it: it.asked, dict),
    Action.CANCEL_RESERVATION: (lambda it: it.asked, lambda: {"note": "The fair is off"}),
    Action.REJECT_RESERVATION: (lambda it: it.other, lambda: {"rejection_reason": "Needed here"}),
    Action.SCHEDULE_MAINTENANCE: (
        lambda _: None,
        lambda: {"title": "Clean it", "due_on": today().isoformat()},
    ),
    Action.COMPLETE_MAINTENANCE: (lambda it: it.work, lambda: {"outcome": "ok"}),
    Action.CANCEL_MAINTENANCE: (lambda it: it.work, dict),
    Action.START_MAINTENANCE: (lambda it: it.work, dict),
}
UNDO: Final = "Undo its disposal first"  # as an administrator reads it
UNDONE: Final = "An administrator can undo its disposal"
CLOSED: Final = "closed already: cancelled."
# Each row has its own asset. A step leaves it in the state that the next one needs.
ROWS: Final = (
    tuple(STEPS)[:6],
    (Action.CANCEL_MAINTENANCE,),
    (Action.START_MAINTENANCE,),
)


def take(pages: Pages, it: Planned, action: Action, status: AssetStatus) -> None:
    """Take a step through its page, or check that it is refused there and causes no event."""
    about, fill = STEPS[action]
    subject = about(it)
    path = f"/assets/{it.asset_id}/{VERBS[action].slug}" + (f"/{subject}" if subject else "")
    before, values = told(), fill()
    if is_to_be_taken(action, status):
        page = pages.submit(pages.get(path).form(), **values)
        assert (page.status, page.errors) == (200, []), (action, status)
        assert page.tone == "success"
        assert told() == [*before, RULES[action].event], (action, status)
        return
    refusals = [why_not(action, status, holder="Maria Lopez", undo=undo) for undo in (UNDO, UNDONE)]
    reasons = (*filter(None, refusals), CLOSED)
    for page in (pages.get(path), pages.post(path, values)):
        assert page.status == 409, (action, status)
        assert any(words.removesuffix(".") in page.main for words in reasons), (
            action,
            status,
            page.main,
        )
    assert told() == before, (action, status)


def test_each_step_is_taken_or_refused_with_its_reason(app: Flask) -> None:
    # Tests of the service cover the others.
    for status in (AssetStatus.AVAILABLE, AssetStatus.WARRANTY):
        pages = visit(app)
        for row in ROWS:
            it = planned_in(status)
            for action in row:
                take(pages, it, action, status)


def test_a_step_at_the_url_of_another_asset_is_not_found(app: Flask) -> None:
    pages, it, other = visit(app), planned_in(AssetStatus.AVAILABLE), make_asset()
    before = told()
    pages.get(f"/assets/{other}")
    for action, (about, fill) in STEPS.items():
        if subject := about(it):
            path = f"/assets/{other}/{VERBS[action].slug}/{subject}"
            assert pages.post(path, fill()).status == 404, action
    assert told() == before
