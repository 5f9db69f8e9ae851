"""Define the action pages for moves, losses, damage, warranty claims, and disposals."""

from typing import Any, ClassVar, Final
from uuid import UUID

from wtforms import RadioField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import InputRequired
from wtforms.widgets import DateInput

from portal.engine.events.words import METHODS
from portal.lib.typed_values import read_amount, read_day
from portal.models.assets import Action, Asset, AssetStatus, Condition
from portal.models.assignments import IncidentKind
from portal.services.actions.incidents import Method, open_incidents
from portal.services.actions.planning.queries import plans_of
from portal.services.core.unit_of_work import session
from portal.web.actions.forms import (
    ActionForm,
    ActionPage,
    amount_field,
    condition_field,
    in_currency,
    line_field,
    location_field,
    note_field,
)
from portal.web.forms.parsing import MomentField, TypedField


class TransferForm(ActionForm):
    no_location: ClassVar[str] = "Choose a location"
    location_id = location_field("New location", "Choose a location")
    reason = line_field("reason", "Reason")
    note = note_field()


class LostForm(ActionForm):
    description = note_field("description", "What happened", "Describe what happened")
    lost_at = MomentField("When", called="time when it was lost", description="Leave blank for now")


class BrokenForm(ActionForm):
    description = note_field("description", "What happened", "Describe what happened")
    broken_at = MomentField("When", called="time when it broke", description="Leave blank for now")


class ClaimForm(ActionForm):
    problem = note_field("problem", "Problem", "Describe the problem")
    supplier = line_field("supplier", "Repaired by")
    rma_number = line_field(
        "rma_number", "Return number", description="The RMA number for the package"
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
        "Disposal method",
        choices=[
            SelectChoice(value, f"{words} (no recipient)" if value == Method.WRITTEN_OFF else words)
            for value, words in METHODS.items()
        ],
        validators=[InputRequired("Choose a disposal method")],
        validate_choice=False,
    )
    proceeds = TypedField(
        "Proceeds",
        read=read_amount,
        called="amount",
        description="For example 180.00",
        render_kw={"inputmode": "decimal"},
    )
    recipient = line_field("recipient", "Recipient")
    note = note_field()


def _plans(asset: Asset, _subject: UUID | None) -> dict[str, Any]:
    return {"plans": plans_of(asset.id)}


PAGES: Final = (
    ActionPage(
        action=Action.TRANSFER,
        timeline="Moved",
        label="Move",
        icon="geo-alt",
        title="Move {name} to another location",
        lede="The holder stays the same.",
        done="Moved {tag} to {location}.",
        form=TransferForm,
        main=frozenset({AssetStatus.ALLOCATED}),
    ),
    ActionPage(
        action=Action.REPORT_BROKEN,
        timeline="Reported broken",
        label="Report broken",
        icon="x-octagon",
        title="Report {name} as broken",
        lede=(
            "This ends its check-out or allocation. We keep its reservations and mark them at risk."
        ),
        done="Reported {tag} as broken.",
        form=BrokenForm,
        kind="danger",
        main=frozenset({AssetStatus.CHECKED_OUT}),
    ),
    ActionPage(
        action=Action.REPORT_LOST,
        timeline="Reported lost",
        label="Report lost",
        icon="question-circle",
        title="Report {name} as lost",
        lede="This ends its check-out or allocation.",
        template="actions/ending_form.html",
        context=_plans,
        done="Reported {tag} as lost.",
        form=LostForm,
        kind="danger",
    ),
    ActionPage(
        action=Action.SEND_TO_WARRANTY,
        timeline="Sent for warranty repair",
        label="Send for warranty repair",
        icon="shield-check",
        title="Send {name} for warranty repair",
        lede="This ends its check-out or allocation.",
        done="Sent {tag} for warranty repair.",
        form=ClaimForm,
        main=frozenset({AssetStatus.BROKEN}),
    ),
    ActionPage(
        action=Action.LIQUIDATE,
        timeline="Disposed of",
        label="Dispose of asset",
        icon="archive",
        title="Dispose of {name}",
        lede="It’s removed from service. No one can check it out or allocate it.",
        template="actions/ending_form.html",
        context=_plans,
        submit="Dispose of asset",
        done="Disposed of {tag}.",
        form=DisposalForm,
        kind="danger",
        main=frozenset({AssetStatus.BROKEN, AssetStatus.LOST}),
    ),
)


class BackForm(ActionForm):
    condition = condition_field()
    location_id = location_field("Current location")
    note = note_field()


class RepairedForm(ActionForm):
    condition = condition_field()
    supplier = line_field("supplier", "Company")
    cost = amount_field("Cost")
    location_id = location_field("Current location")
    note = note_field()

    @classmethod
    def defaults(cls, asset: Asset, subject: UUID | None) -> dict[str, Any]:
        """Preselect good, because the asset was repaired."""
        return {"condition": Condition.GOOD.value}

    def prepare(self, asset: Asset, subject: UUID | None) -> None:
        super().prepare(asset, subject)
        self.cost.description = in_currency()


class ReceivedBackForm(RepairedForm):
    @classmethod
    def defaults(cls, asset: Asset, subject: UUID | None) -> dict[str, Any]:
        """Prefill the supplier from the open warranty claim."""
        claim = next(iter(open_incidents(session(), asset.id, IncidentKind.WARRANTY)), None)
        supplier = claim.details.get("supplier") if claim else None
        return super().defaults(asset, subject) | {"supplier": supplier}


class NoteForm(ActionForm):
    note = note_field()


RETURN_PAGES: Final = (
    ActionPage(
        action=Action.RECEIVE_BACK,
        timeline="Received back",
        label="Receive back",
        icon="box-arrow-in-down",
        title="Receive {name} back",
        lede="The warranty repair is finished. The asset becomes available again.",
        done="Received {tag} back.",
        form=ReceivedBackForm,
        main=frozenset({AssetStatus.WARRANTY}),
    ),
    ActionPage(
        action=Action.REPAIR,
        timeline="Repaired",
        label="Mark as repaired",
        icon="wrench-adjustable",
        title="Mark {name} as repaired",
        lede="The asset becomes available again.",
        done="Marked {tag} as repaired.",
        form=RepairedForm,
        main=frozenset({AssetStatus.BROKEN}),
    ),
    ActionPage(
        action=Action.FIND,
        timeline="Found",
        label="Mark as found",
        icon="search",
        title="Mark {name} as found",
        lede="The asset becomes available again.",
        done="Marked {tag} as found.",
        form=BackForm,
        main=frozenset({AssetStatus.LOST}),
    ),
    ActionPage(
        action=Action.UNDO_LIQUIDATION,
        timeline="Disposal undone",
        label="Undo disposal",
        icon="arrow-counterclockwise",
        title="Undo {name}’s disposal",
        lede="The asset returns to its previous status.",
        done="Undid {tag}’s disposal.",
        form=NoteForm,
        main=frozenset({AssetStatus.LIQUIDATED}),
    ),
    ActionPage(
        action=Action.RESTORE,
        timeline="Restored",
        label="Restore",
        icon="arrow-counterclockwise",
        title="Restore {name}",
        lede="It returns to the register with its previous status.",
        done="Restored {tag}.",
        form=NoteForm,
        main=frozenset(AssetStatus),
    ),
)
