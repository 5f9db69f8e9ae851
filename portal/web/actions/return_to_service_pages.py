"""The pages by which an asset comes back into use."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final
from uuid import UUID

from portal.models.assets import Action, Asset, AssetStatus, Condition
from portal.services.actions import return_to_service
from portal.web.actions.action_page import ActionPage, Doing, doing
from portal.web.actions.forms import ActionForm, condition_field, location_field, note_field


class BackForm(ActionForm):
    """How it came back, and where it is now."""

    condition = condition_field()
    location_id = location_field("Where it is now")
    note = note_field()


class RepairedForm(BackForm):
    """How it is after the repair."""

    @classmethod
    def defaults(cls, asset: Asset, subject: UUID | None) -> dict[str, Any]:
        """What was damaged and is repaired is good."""
        return {"condition": Condition.GOOD.value}


class NoteForm(ActionForm):
    """Only a note."""

    note = note_field()


def _back_by(action: Action) -> Callable[[Doing], object]:
    return doing(partial(return_to_service.come_back, action=action))


RETURN_PAGES: Final = (
    ActionPage(
        action=Action.RECEIVE_BACK,
        slug="receive-back",
        label="Receive back",
        icon="box-arrow-in-down",
        title="Receive {name} back",
        lede="The warranty claim is over, and it can be used again.",
        done="{tag} is back.",
        form=RepairedForm,
        run=_back_by(Action.RECEIVE_BACK),
        main=frozenset({AssetStatus.WARRANTY}),
    ),
    ActionPage(
        action=Action.REPAIR,
        slug="repair",
        label="Mark as repaired",
        icon="wrench-adjustable",
        title="Mark {name} as repaired",
        lede="It can be used again.",
        done="{tag} is repaired.",
        form=RepairedForm,
        run=_back_by(Action.REPAIR),
        main=frozenset({AssetStatus.BROKEN}),
    ),
    ActionPage(
        action=Action.FIND,
        slug="find",
        label="Mark as found",
        icon="search",
        title="Mark {name} as found",
        lede="It is there again and can be used.",
        done="{tag} is found.",
        form=BackForm,
        run=_back_by(Action.FIND),
        main=frozenset({AssetStatus.LOST}),
    ),
    ActionPage(
        action=Action.UNDO_LIQUIDATION,
        slug="undo-liquidation",
        label="Undo the disposal",
        icon="arrow-counterclockwise",
        title="Undo the disposal of {name}",
        lede="It was disposed of by mistake. It gets back the status that it had before.",
        done="{tag} is back in the register.",
        form=NoteForm,
        run=doing(return_to_service.undo_liquidation),
        main=frozenset({AssetStatus.LIQUIDATED}),
    ),
    ActionPage(
        action=Action.RESTORE,
        slug="restore",
        label="Restore",
        icon="arrow-counterclockwise",
        title="Restore {name}",
        lede="It comes back into the register, as it was.",
        done="{tag} is back in the register.",
        form=NoteForm,
        run=doing(return_to_service.restore),
        main=frozenset(AssetStatus),
    ),
)
