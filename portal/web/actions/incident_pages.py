"""The pages of moving, losing, breaking, claiming and disposing of an asset."""

from functools import partial
from typing import Any, ClassVar, Final
from uuid import UUID

from wtforms import RadioField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import InputRequired
from wtforms.widgets import DateInput

from portal.lib.typed_values import read_amount, read_day
from portal.models.assets import Action, Asset, AssetStatus, Condition
from portal.services.actions import incidents
from portal.services.actions.incidents import ClaimValues, DisposalValues, Method
from portal.services.actions.planning.queries import plans_of
from portal.web.actions.forms import (
    ActionForm,
    ActionPage,
    condition_field,
    doing,
    line_field,
    location_field,
    note_field,
)
from portal.web.forms.parsing import MomentField, TypedField

METHOD_WORDS: Final[dict[str, str]] = {
    Method.SOLD: "Sold",
    Method.DONATED: "Donated",
    Method.RECYCLED: "Recycled",
    Method.SCRAPPED: "Scrapped",
    Method.WRITTEN_OFF: "Written off: it is gone, but nobody got it",
}


class TransferForm(ActionForm):
    no_location: ClassVar[str] = "Choose a location"
    location_id = location_field("Where it goes", "Choose where it goes")
    reason = line_field("reason", "Reason")
    note = note_field()


class LostForm(ActionForm):
    description = note_field("description", "What happened", "Describe what happened")
    lost_at = MomentField("When, if not now", called="time when it was lost")


class BrokenForm(ActionForm):
    description = note_field("description", "What happened", "Describe what happened")
    broken_at = MomentField("When, if not now", called="time when it broke")


class ClaimForm(ActionForm):
    problem = note_field("problem", "What is wrong", "Describe what is wrong")
    supplier = line_field("supplier", "Who repairs it")
    rma_number = line_field(
        "rma_number", "Return number", description="What they gave you to write on the parcel (RMA)"
    )
    expected_back_on = TypedField(
        "Expected back on", read=read_day, called="day when it is expected back", widget=DateInput()
    )
    note = note_field()

    @classmethod
    def defaults(cls, asset: Asset, subject: UUID | None) -> dict[str, Any]:
        return {"supplier": asset.supplier}


class DisposalForm(ActionForm):
    method = RadioField(
        "What happens to it",
        choices=[SelectChoice(value, words) for value, words in METHOD_WORDS.items()],
        validators=[InputRequired("Choose what happens to it")],
        validate_choice=False,
    )
    proceeds = TypedField(
        "Money received",
        read=read_amount,
        called="amount",
        description="In digits, such as 180.00",
        render_kw={"inputmode": "decimal"},
    )
    recipient = line_field("recipient", "Who gets it")
    note = note_field()


def _plans(asset: Asset, _subject: UUID | None) -> dict[str, Any]:
    return {"plans": plans_of(asset.id)}


PAGES: Final = (
    ActionPage(
        action=Action.TRANSFER,
        timeline=("Moved to another place", "info"),
        label="Transfer",
        icon="geo-alt",
        title="Transfer {name}",
        lede="Move it to another location. The holder stays the same.",
        done="{tag} was moved.",
        form=TransferForm,
        run=doing(incidents.transfer),
        main=frozenset({AssetStatus.ALLOCATED}),
    ),
    ActionPage(
        action=Action.REPORT_BROKEN,
        timeline=("Reported broken", "danger"),
        label="Report broken",
        icon="x-octagon",
        title="Report {name} as broken",
        lede="It will no longer be assigned to anyone. Reservations stay, marked as at risk.",
        done="{tag} is reported as broken.",
        form=BrokenForm,
        run=doing(incidents.report_broken),
        kind="danger",
        main=frozenset({AssetStatus.CHECKED_OUT}),
    ),
    ActionPage(
        action=Action.REPORT_LOST,
        timeline=("Reported lost", "danger"),
        label="Report lost",
        icon="question-circle",
        title="Report {name} as lost",
        lede="It will no longer be assigned to anyone.",
        template="actions/ending_form.html",
        context=_plans,
        done="{tag} is reported as lost.",
        form=LostForm,
        run=doing(incidents.report_lost),
        kind="danger",
    ),
    ActionPage(
        action=Action.SEND_TO_WARRANTY,
        timeline=("Sent for a warranty claim", "warning"),
        label="Send to warranty",
        icon="shield-check",
        title="Send {name} for a warranty claim",
        lede="It’s sent away for repair, and no longer assigned to anyone.",
        done="{tag} is away for a warranty claim.",
        form=ClaimForm,
        run=doing(incidents.send_to_warranty, ClaimValues),
        main=frozenset({AssetStatus.BROKEN}),
    ),
    ActionPage(
        action=Action.LIQUIDATE,
        timeline=("Disposed of", "danger"),
        label="Dispose of asset",
        icon="archive",
        title="Dispose of {name}",
        lede="It leaves the organization. It can no longer be checked out or allocated.",
        template="actions/ending_form.html",
        context=_plans,
        submit="Dispose of asset",
        done="{tag} is disposed of.",
        form=DisposalForm,
        run=doing(incidents.liquidate, DisposalValues),
        kind="danger",
        main=frozenset({AssetStatus.BROKEN, AssetStatus.LOST}),
    ),
)


class BackForm(ActionForm):
    condition = condition_field()
    location_id = location_field("Where it is now")
    note = note_field()


class RepairedForm(BackForm):
    @classmethod
    def defaults(cls, asset: Asset, subject: UUID | None) -> dict[str, Any]:
        """Choose good for what was damaged and is repaired."""
        return {"condition": Condition.GOOD.value}


class NoteForm(ActionForm):
    note = note_field()


RETURN_PAGES: Final = (
    ActionPage(
        action=Action.RECEIVE_BACK,
        timeline=("Received back", "success"),
        label="Receive back",
        icon="box-arrow-in-down",
        title="Receive {name} back",
        lede="The warranty claim is over, and it can be used again.",
        done="{tag} is back.",
        form=RepairedForm,
        run=doing(partial(incidents.come_back, action=Action.RECEIVE_BACK)),
        main=frozenset({AssetStatus.WARRANTY}),
    ),
    ActionPage(
        action=Action.REPAIR,
        timeline=("Repaired", "success"),
        label="Mark as repaired",
        icon="wrench-adjustable",
        title="Mark {name} as repaired",
        lede="It can be used again.",
        done="{tag} is repaired.",
        form=RepairedForm,
        run=doing(partial(incidents.come_back, action=Action.REPAIR)),
        main=frozenset({AssetStatus.BROKEN}),
    ),
    ActionPage(
        action=Action.FIND,
        timeline=("Found", "success"),
        label="Mark as found",
        icon="search",
        title="Mark {name} as found",
        lede="It is there again and can be used.",
        done="{tag} is found.",
        form=BackForm,
        run=doing(partial(incidents.come_back, action=Action.FIND)),
        main=frozenset({AssetStatus.LOST}),
    ),
    ActionPage(
        action=Action.UNDO_LIQUIDATION,
        timeline=("Disposal undone", "success"),
        label="Undo the disposal",
        icon="arrow-counterclockwise",
        title="Undo the disposal of {name}",
        lede="It was disposed of by mistake. It gets back the status that it had before.",
        done="{tag} is back in the register.",
        form=NoteForm,
        run=doing(incidents.undo_liquidation),
        main=frozenset({AssetStatus.LIQUIDATED}),
    ),
    ActionPage(
        action=Action.RESTORE,
        timeline=("Restored", "success"),
        label="Restore",
        icon="arrow-counterclockwise",
        title="Restore {name}",
        lede="It comes back into the register, as it was.",
        done="{tag} is back in the register.",
        form=NoteForm,
        run=doing(incidents.restore),
        main=frozenset(AssetStatus),
    ),
)
