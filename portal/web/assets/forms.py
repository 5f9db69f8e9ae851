"""Define the register's forms: asset, deletion, list filter, and bulk actions."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from uuid import UUID

from flask import current_app
from wtforms import (
    BooleanField,
    Field,
    RadioField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.widgets import DateInput

from portal.lib.typed_values import last_day, read_amount, read_count, read_day
from portal.models.assets import Action, Asset, AssetKind, AssetStatus
from portal.services.actions.rules import longest
from portal.services.assets import named_lists
from portal.services.assets.fields import (
    ASSET_FIELDS,
    LENGTHS,
    AssetField,
    AssetValues,
    FieldType,
    faults,
    fields_of_type,
)
from portal.services.assets.queries import AssetFilter, Shown
from portal.services.core.refusals import Fault, Refusal
from portal.web.actions.assignment_pages import AllocateForm, ReturnForm
from portal.web.actions.forms import (
    AS_IT_WAS,
    CONDITIONS,
    ActionForm,
    condition_field,
    line_field,
    location_field,
    note_field,
    or_none,
)
from portal.web.actions.incident_pages import TransferForm
from portal.web.actions.planning_pages import ScheduleForm
from portal.web.forms.additions import AddingForm, new_name
from portal.web.forms.base import PortalForm
from portal.web.forms.filter_form import ChosenField, FilterForm, LinkedField, SearchField
from portal.web.forms.parsing import TypedField, read_months, row_id, uuid_or_none
from portal.web.forms.versions import VersionField
from portal.web.frame.status_tags import ASSET
from portal.web.frame.wording import day_of, plural

# Not an asset status, but a filter choice that lists deleted assets.
DELETED: Final = "deleted"
KINDS: Final = [
    SelectChoice(AssetKind.ITEM.value, "Single item"),
    SelectChoice(AssetKind.STOCK.value, "Consumable (tracked by quantity)"),
]
NUMERIC: Final = {"inputmode": "numeric", "autocomplete": "off"}


# Makes the form field for each type of asset field.
MAKERS: Final[Mapping[FieldType, Callable[[AssetField], Any]]] = {
    FieldType.LINE: lambda field: StringField(
        field.label, render_kw={"maxlength": field.limit, "autocomplete": "off"}
    ),
    FieldType.TEXT: lambda field: TextAreaField(field.label),
    FieldType.CHOICE: lambda field: SelectField(
        field.label,
        choices=[SelectChoice(value, value.capitalize()) for value in field.choices],
        default=str(_default(field)),
        validate_choice=False,
    ),
    FieldType.LISTED: lambda field: SelectField(field.label, coerce=row_id, validate_choice=False),
    FieldType.YES_NO: lambda field: BooleanField(field.label, default=_default(field)),
    FieldType.DAY: lambda field: TypedField(
        field.label, read=read_day, called=field.in_sentence, widget=DateInput()
    ),
    FieldType.MONEY: lambda field: TypedField(
        field.label, read=read_amount, render_kw={"inputmode": "decimal"}
    ),
    FieldType.COUNT: lambda field: TypedField(
        field.label, read=read_count, called=field.in_sentence, render_kw=NUMERIC
    ),
}


def _default(field: AssetField) -> Any:
    return AssetValues.__dataclass_fields__[field.value_name].default


class AssetForm(AddingForm):
    """The form of one asset. Field names are column names."""

    lengths: ClassVar[dict[str, int]] = LENGTHS

    new_category = new_name()
    new_location = new_name()

    version = VersionField()
    # `_add_fields` adds these and all other fields of `ASSET_FIELDS`.
    category_id: SelectField
    location_id: SelectField
    kind: RadioField
    quantity: TypedField
    reservable: BooleanField
    purchase_date: TypedField
    warranty_expires: TypedField
    warranty_months: TypedField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.category_id.choices = _choices(named_lists.CATEGORIES)
        self.location_id.choices = _choices(named_lists.LOCATIONS)
        # Keep stored values that the page does not ask for: the quantity, which is entered only
        # when the asset is added, and the reservable flag of a consumable.
        if not self.quantity.raw_data:
            self.quantity.data = self.quantity.object_data
        if self.kind.object_data == AssetKind.STOCK:
            self.reservable.data = self.reservable.object_data

    def validate(self, extra_validators: Any = None) -> bool:
        """Validate every field, then apply the register's rules and report every violation."""
        read_well = super().validate(extra_validators)
        violations = [*self._warranty_faults(), *faults(self.values())]
        if violations:
            self.refuse(Refusal(violations[0].sentence, faults=violations))
        return bool(read_well) and not violations

    def values(self) -> AssetValues:
        """Return the entered values for the service."""
        plain = {name: self[name].data for name in AssetValues.__dataclass_fields__}
        texts = {
            field.name: plain[field.name] or None
            for field in fields_of_type(FieldType.LINE, FieldType.TEXT)
        }
        needed = {name: plain[name] or "" for name in ("asset_tag", "name", "condition")}
        needed["kind"] = plain["kind"] or AssetKind.ITEM.value
        ends = self._end_by_months() or self.warranty_expires.data
        return AssetValues(**plain | texts | needed | {"warranty_expires": ends})

    def unasked(self) -> dict[str, str]:
        """Return the unchanged values as browsers send them, for a page that edits only notes."""
        asked = {"csrf_token", "once", "version", "notes", "kind", "quantity"}
        return {
            field.name: _sent(field) for field in self if field.name not in asked and _sent(field)
        }

    @property
    def currency(self) -> str:
        return str(current_app.extensions["settings"].currency)

    def _end_by_months(self) -> Any:
        bought, months = self.purchase_date.data, self.warranty_months.data
        try:
            return last_day(bought, months) if bought and months else None
        except ValueError:  # after year 9999: the purchase date is wrong, not the months
            return None

    def _warranty_faults(self) -> Iterator[Fault]:
        months, typed = self.warranty_months.data, self.warranty_expires.data
        if months and not self.purchase_date.data and not self.purchase_date.errors:
            sentence = "Enter the purchase date for this warranty length"
            yield Fault("purchase_date", sentence)
        counted = self._end_by_months()
        if counted and typed and counted != typed:
            sentence = (
                f"{months} months from the purchase date is {day_of(counted)}. "
                f"Clear the months or the date above"
            )
            yield Fault("warranty_months", sentence)


def _add_fields() -> None:
    for field in ASSET_FIELDS:
        setattr(AssetForm, field.value_name, MAKERS[field.type](field))
    AssetForm.kind = RadioField(
        "Type", choices=KINDS, default=AssetKind.ITEM.value, validate_choice=False
    )
    AssetForm.warranty_months = TypedField(
        "Or warranty length in months",
        read=read_months,
        render_kw={"inputmode": "numeric"},
    )


_add_fields()


class DeleteAssetForm(PortalForm):
    lengths: ClassVar[dict[str, int]] = {"reason": longest("reason")}

    reason = StringField("Reason")


class AssetFilterForm(FilterForm):
    """The filter above the list, kept in the URL."""

    q = SearchField("Tag, name, serial number, or person")
    show = LinkedField("Show", among=set(Shown))
    category = ChosenField("Category")
    location = ChosenField("Location")
    status = ChosenField("Status")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.category.choices = _any_or("category", named_lists.CATEGORIES)
        self.location.choices = _any_or("location", named_lists.LOCATIONS)
        self.status.choices = [
            SelectChoice("", "Any status"),
            *(SelectChoice(value, tag.word) for value, tag in ASSET.items()),
            SelectChoice(DELETED, "Deleted"),
        ]

    def chosen(self) -> AssetFilter:
        """Return the filter. Call `validate` first."""
        status = self.status.data
        return AssetFilter(
            search=self.q.data or "",
            category=uuid_or_none(self.category.data),
            location=uuid_or_none(self.location.data),
            status=AssetStatus(status) if status and status != DELETED else None,
            deleted=status == DELETED,
            shown=Shown(self.show.data) if self.show.data else None,
        )


def _sent(field: Field) -> str:
    if isinstance(field, BooleanField):
        return "y" if field.data else ""
    value: Any = field.data if isinstance(field, SelectField) else getattr(field, "_value", str)()
    return str(value or "")


def _choices(kind: named_lists.NamedList) -> list[SelectChoice]:
    rows = named_lists.choices(kind)
    none = SelectChoice("", f"No {kind.one}")
    return [none, *(SelectChoice(str(row_id), name) for row_id, _, name in rows)]


def _any_or(what: str, kind: named_lists.NamedList) -> list[SelectChoice]:
    rows = named_lists.choices(kind)
    named = (SelectChoice(str(public_id), name) for _, public_id, name in rows)
    return [SelectChoice("", f"Any {what}"), *named]


class BulkReturnForm(ReturnForm):
    condition_in = RadioField(
        "Condition", choices=[AS_IT_WAS, *CONDITIONS], coerce=or_none, validate_choice=False
    )
    needs_repair = BooleanField("They need repair", default=True, description=ReturnForm.REPORTED)


class BulkCheckInForm(BulkReturnForm):
    location_id = location_field("New location")
    note = note_field()


class BulkRevokeForm(BulkReturnForm):
    location_id = location_field("New location")
    reason = line_field("reason", "Reason")
    note = note_field()


class BulkDeleteForm(ActionForm):
    reason = line_field("reason", "Reason")


def _same(name: str) -> Any:
    """Return the field that the form of one asset has under this name."""
    field = next(field for field in ASSET_FIELDS if field.name == name)
    return MAKERS[field.type](field)


class BulkEditForm(ActionForm):
    """The fields that several assets can share. A blank field changes nothing."""

    lengths: ClassVar[dict[str, int]] = LENGTHS

    new_category = new_name()
    category_id = _same("category")
    location_id = _same("location")
    condition = condition_field()
    reservable = SelectField(
        "Allow reservations",
        choices=[AS_IT_WAS, SelectChoice("yes", "Yes"), SelectChoice("no", "No")],
    )
    manufacturer = _same("manufacturer")
    model = _same("model")
    supplier = _same("supplier")
    warranty_expires = _same("warranty_expires")

    def prepare(self, asset: Asset, subject: UUID | None) -> None:
        super().prepare(asset, subject)
        names = named_lists.choices(named_lists.CATEGORIES)
        named = (SelectChoice(str(row_id), name) for row_id, _, name in names)
        self["category_id"].choices = [AS_IT_WAS, *named]

    def filled(self) -> dict[str, Any]:
        """Return only the fields that were filled in."""
        return {name: value for name, value in super().filled().items() if value not in (None, "")}


@dataclass(frozen=True, slots=True)
class BulkPage:
    """One bulk action and its form. With `note`, a hint above them, all fields are optional."""

    label: str
    title: str
    form: type[ActionForm]
    kind: str = "primary"
    note: str = ""

    def titled(self, count: int) -> str:
        """Return the title, such as "Revoke 4 assets"."""
        return self.title.format(plural(count, "asset"))


# In the order of the list's buttons.
BULK_PAGES: Final[Mapping[Action, BulkPage]] = {
    Action.EDIT: BulkPage(
        "Edit", "Edit {}", BulkEditForm, note="Fill in only the fields that you want to change."
    ),
    Action.ALLOCATE: BulkPage("Allocate", "Allocate {}", AllocateForm),
    Action.TRANSFER: BulkPage("Move", "Move {}", TransferForm),
    Action.REVOKE: BulkPage("Revoke", "Revoke {}", BulkRevokeForm),
    Action.CHECK_IN: BulkPage("Check in", "Check in {}", BulkCheckInForm),
    Action.SCHEDULE_MAINTENANCE: BulkPage(
        "Schedule maintenance", "Schedule maintenance for {}", ScheduleForm
    ),
    Action.DELETE: BulkPage("Delete", "Delete {}", BulkDeleteForm, kind="danger"),
}
