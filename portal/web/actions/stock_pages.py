"""Define the action pages that change a consumable's quantity: receive, issue, adjust."""

from typing import Any, ClassVar, Final
from uuid import UUID

from wtforms import SelectField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import InputRequired

from portal.lib.typed_values import read_count
from portal.models.assets import Action, Asset, AssetStatus, MoveKind
from portal.services.actions import stock
from portal.web.actions.forms import ActionForm, ActionPage, note_field
from portal.web.forms.parsing import TypedField

MAIN: Final = frozenset({AssetStatus.AVAILABLE})
WHY: Final = [
    SelectChoice(MoveKind.ADJUST.value, "Counted"),
    SelectChoice(MoveKind.LOSS.value, "Lost or damaged"),
]


def _number(label: str, missing: str) -> TypedField:
    kept = {"inputmode": "numeric", "autocomplete": "off"}
    needed = [InputRequired(missing)]
    return TypedField(label, read=read_count, called="quantity", validators=needed, render_kw=kept)


class NumberForm(ActionForm):
    widths: ClassVar[dict[str, str]] = {"quantity": "short"}


class ReceiveForm(NumberForm):
    quantity = _number("Quantity received", "Enter the quantity received")
    note = note_field()


class IssueForm(NumberForm):
    quantity = _number("Quantity issued", "Enter the quantity issued")
    note = note_field()


class AdjustForm(NumberForm):
    quantity = _number("Quantity counted", "Enter the quantity counted")
    kind = SelectField("Reason for the change", choices=WHY)
    note = note_field()

    @classmethod
    def defaults(cls, asset: Asset, subject: UUID | None) -> dict[str, Any]:
        return {"quantity": stock.balance(asset)}

    def filled(self) -> dict[str, Any]:
        """Return the entered values, with the reason as `is_loss`."""
        values = super().filled()
        return values | {"is_loss": values.pop("kind") == MoveKind.LOSS}


PAGES: Final = (
    ActionPage(
        action=Action.ISSUE_STOCK,
        timeline="Stock issued",
        label="Issue",
        icon="box-arrow-up-right",
        title="Issue {name}",
        lede="Record issued items. This lowers the quantity.",
        done="Updated {tag}’s quantity.",
        form=IssueForm,
        tab="stock.moves",
        main=MAIN,
    ),
    ActionPage(
        action=Action.RECEIVE_STOCK,
        timeline="Stock received",
        label="Receive",
        icon="box-arrow-in-down-left",
        title="Receive {name}",
        lede="Record received items. This raises the quantity.",
        done="Updated {tag}’s quantity.",
        form=ReceiveForm,
        tab="stock.moves",
        main=MAIN,
    ),
    ActionPage(
        action=Action.ADJUST_STOCK,
        timeline="Stock counted",
        label="Adjust quantity",
        icon="123",
        title="Adjust {name}’s quantity",
        lede="Enter the quantity you counted. The previous quantity stays in the history.",
        done="Updated {tag}’s quantity.",
        submit="Save quantity",
        form=AdjustForm,
        tab="stock.moves",
        main=MAIN,
    ),
)
