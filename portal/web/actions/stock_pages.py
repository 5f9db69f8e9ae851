"""The pages that change the number of a stock: receive, issue, count again."""

from typing import Any, ClassVar, Final
from uuid import UUID

from wtforms import SelectField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import InputRequired

from portal.lib.typed_values import read_count
from portal.models.assets import Action, Asset, AssetStatus, MoveKind
from portal.services.actions import stock
from portal.services.core.permissions import Actor
from portal.web.actions.forms import ActionForm, ActionPage, doing, note_field
from portal.web.forms.parsing import TypedField

MAIN: Final = frozenset({AssetStatus.AVAILABLE})
WHY: Final = [
    SelectChoice(MoveKind.ADJUST.value, "Counted again"),
    SelectChoice(MoveKind.LOSS.value, "Lost or damaged"),
]


def _number(label: str, missing: str) -> TypedField:
    kept = {"inputmode": "numeric", "autocomplete": "off"}
    needed = [InputRequired(missing)]
    return TypedField(label, read=read_count, called="number", validators=needed, render_kw=kept)


class NumberForm(ActionForm):
    widths: ClassVar[dict[str, str]] = {"quantity": "short"}


class ReceiveForm(NumberForm):
    quantity = _number("How many came in", "Enter how many came in")
    note = note_field()


class IssueForm(NumberForm):
    quantity = _number("How many go out", "Enter how many go out")
    note = note_field()


class AdjustForm(NumberForm):
    quantity = _number("How many there are", "Enter how many there are")
    kind = SelectField("Why the number changes", choices=WHY)
    note = note_field()

    @classmethod
    def defaults(cls, asset: Asset, subject: UUID | None) -> dict[str, Any]:
        return {"quantity": stock.balance(asset)}


def _adjust(actor: Actor, asset_id: int, *, quantity: int, kind: str, note: str) -> bool:
    is_loss = kind == MoveKind.LOSS
    return stock.adjust(actor, asset_id, quantity=quantity, is_loss=is_loss, note=note)


PAGES: Final = (
    ActionPage(
        action=Action.ISSUE_STOCK,
        timeline=("Stock issued", "info"),
        address="issue",
        label="Issue",
        icon="box-arrow-up-right",
        title="Issue {name}",
        lede="Give some of it out. The number goes down.",
        done="The number of {tag} was changed.",
        form=IssueForm,
        run=doing(stock.issue),
        tab="stock.moves",
        main=MAIN,
    ),
    ActionPage(
        action=Action.RECEIVE_STOCK,
        timeline=("Stock received", "success"),
        address="receive",
        label="Receive",
        icon="box-arrow-in-down-left",
        title="Receive {name}",
        lede="More of it came in. The number goes up.",
        done="The number of {tag} was changed.",
        form=ReceiveForm,
        run=doing(stock.receive),
        tab="stock.moves",
        main=MAIN,
    ),
    ActionPage(
        action=Action.ADJUST_STOCK,
        timeline=("Stock counted", "info"),
        address="adjust",
        label="Adjust the number",
        icon="123",
        title="Adjust the number of {name}",
        lede="Enter what you counted. What was on record is kept in its history.",
        done="The number of {tag} was changed.",
        submit="Save number",
        form=AdjustForm,
        run=doing(_adjust),
        tab="stock.moves",
        main=MAIN,
    ),
)
