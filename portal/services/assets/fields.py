"""Define the fields of an asset and validate their values without a database."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum, auto
from typing import Final

from portal.lib.dates import IN_CALENDAR, is_in_calendar
from portal.models.assets import AssetKind, Condition
from portal.services.core.refusals import Fault

DEAREST: Final = Decimal("9999999999.99")  # the maximum of decimal(12,2)
MOST_IN_STOCK: Final = 1_000_000_000
TAG: Final = re.compile(r"[A-Za-z0-9._/-]+")


class FieldType(Enum):
    """Field types, which decide how a field is entered, checked, imported, and written."""

    LINE = auto()
    TEXT = auto()
    CHOICE = auto()
    LISTED = auto()  # a row of another table, in the column `<name>_id`
    YES_NO = auto()
    DAY = auto()
    MONEY = auto()
    COUNT = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetField:
    """One field that people enter for an asset, which excludes fields such as the status.

    - `called`: the name within a sentence, if it differs from the label.
    - `column`: the position in CSV files.
    - `limit`: the maximum number of characters.
    - `kind`: the only kind of asset that has the field.
    - `in_event`: included in snapshots for receivers.
    - `names_people`: searched for a person's name before an erasure.
    - `spellings`: headings in other programs, in lower case without blanks, periods, and dashes. A
      longer heading can also start with or contain one of them.
    """

    name: str
    label: str
    type: FieldType = FieldType.LINE
    column: int
    called: str = ""
    limit: int | None = None
    choices: tuple[str, ...] = ()
    kind: AssetKind | None = None
    in_event: bool = True
    names_people: bool = False
    spellings: str = ""

    @property
    def value_name(self) -> str:
        """Return the field's name in forms and in `AssetValues`."""
        return f"{self.name}_id" if self.type is FieldType.LISTED else self.name

    @property
    def in_sentence(self) -> str:
        return self.called or self.label.lower()


# In the order shown on pages.
ASSET_FIELDS: Final = (
    AssetField(
        name="name",
        label="Name",
        column=2,
        limit=120,
        names_people=True,
        spellings="bezeichnung gerät artikel gegenstand item itemname assetname title description "
        "device désignation nom nombre denominazione beschreibung",
    ),
    AssetField(
        name="asset_tag",
        label="Asset tag",
        column=1,
        limit=40,
        spellings="tag assettag inventarnummer inventarnr inventorynumber inventoryno barcode "
        "numéroinventaire numeroinventaire etiqueta inventar inventory anlagennummer anlagennr "
        "assetid",
    ),
    AssetField(
        name="kind",
        label="Type",
        type=FieldType.CHOICE,
        column=3,
        choices=tuple(AssetKind),
        spellings="kind art typ type",
    ),
    AssetField(
        name="category",
        label="Category",
        type=FieldType.LISTED,
        column=4,
        spellings="kategorie gruppe warengruppe assettype catégorie categoría categoria group "
        "class kind art typ type",
    ),
    AssetField(
        name="location",
        label="Location",
        type=FieldType.LISTED,
        column=8,
        spellings="standort ort raum room site place building office where wo lieu emplacement "
        "ubicación ubicacion lagerort abteilungsraum",
    ),
    AssetField(
        name="quantity",
        label="Quantity",
        type=FieldType.COUNT,
        column=16,
        called="number",
        kind=AssetKind.STOCK,
        spellings="menge anzahl bestand qty stock amount stück quantité cantidad",
    ),
    AssetField(
        name="min_quantity",
        label="Low-stock threshold",
        type=FieldType.COUNT,
        column=17,
        called="number",
        kind=AssetKind.STOCK,
        spellings="mindestbestand mindestmenge minimum reorderlevel minqty",
    ),
    AssetField(
        name="unit",
        label="Unit",
        column=18,
        limit=40,
        kind=AssetKind.STOCK,
        spellings="einheit unité unidad uom",
    ),
    AssetField(
        name="condition",
        label="Condition",
        type=FieldType.CHOICE,
        column=14,
        choices=tuple(Condition),
        spellings="zustand state état estado",
    ),
    AssetField(
        name="reservable",
        label="Allow reservations",
        type=FieldType.YES_NO,
        column=15,
        kind=AssetKind.ITEM,
        in_event=False,
        spellings="reservierbar ausleihbar bookable",
    ),
    AssetField(
        name="manufacturer",
        label="Manufacturer",
        column=5,
        limit=120,
        spellings="hersteller marke brand make fabricant fabricante maker",
    ),
    AssetField(
        name="model",
        label="Model",
        column=6,
        limit=120,
        spellings="modell modelname modelnumber modelno modèle modelo modello",
    ),
    AssetField(
        name="serial_number",
        label="Serial number",
        column=7,
        limit=120,
        spellings="serial serialno sn seriennummer seriennr serien numérodesérie numerodeserie "
        "númerodeserie fabriknummer",
    ),
    AssetField(
        name="supplier",
        label="Supplier",
        column=9,
        limit=120,
        names_people=True,
        spellings="lieferant vendor händler fournisseur proveedor",
    ),
    AssetField(
        name="order_number",
        label="Order number",
        column=10,
        limit=120,
        names_people=True,
        spellings="bestellnummer bestellnr order orderno ponumber po purchaseorder "
        "numérodecommande auftragsnummer",
    ),
    AssetField(
        name="purchase_date",
        label="Purchase date",
        type=FieldType.DAY,
        column=11,
        spellings="anschaffung anschaffungsdatum kaufdatum gekauftam boughton purchased "
        "datepurchased dateachat dated'achat fechadecompra kauf bought purchase acquired gekauft",
    ),
    AssetField(
        name="purchase_cost",
        label="Purchase cost",
        type=FieldType.MONEY,
        column=12,
        spellings="preis kosten anschaffungspreis anschaffungskosten kaufpreis price cost value "
        "wert prix precio betrag paid bought purchase",
    ),
    AssetField(
        name="warranty_expires",
        label="Warranty ends",
        type=FieldType.DAY,
        column=13,
        called="end of the warranty",
        spellings="garantie garantiebis garantieende gewährleistungbis warranty warrantyuntil "
        "warrantyends warrantyexpiration findegarantie guarantee guaranteed gewährleistung",
    ),
    AssetField(
        name="notes",
        label="Notes",
        type=FieldType.TEXT,
        column=19,
        limit=10_000,
        in_event=False,
        names_people=True,
        spellings="bemerkung bemerkungen notiz notizen anmerkung kommentar comment comments "
        "remarks note remarque",
    ),
)
LENGTHS: Final = {field.name: field.limit for field in ASSET_FIELDS if field.limit}


def fields_of_type(*types: FieldType) -> list[AssetField]:
    return [field for field in ASSET_FIELDS if field.type in types]


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetValues:
    """The entered values of an asset. Only actions change status, holder, and quantity.

    An empty `asset_tag` requests the next number. Money is in the installation's currency. `kind`
    and `quantity` only apply when the asset is added.
    """

    asset_tag: str = ""
    name: str
    category_id: int | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial_number: str | None = None
    condition: str = Condition.GOOD
    location_id: int | None = None
    supplier: str | None = None
    order_number: str | None = None
    purchase_date: date | None = None
    purchase_cost: Decimal | None = None
    warranty_expires: date | None = None
    reservable: bool = True
    notes: str | None = None
    kind: str = AssetKind.ITEM
    quantity: int | None = None
    min_quantity: int | None = None
    unit: str | None = None


def faults(values: AssetValues) -> list[Fault]:
    """Return every fault that keeps these values out of the register."""
    return [
        *_of_texts(values),
        *_of_tag(values),
        *_of_choices(values),
        *_of_money(values),
        *_of_days(values),
        *_of_counts(values),
    ]


def _of_texts(values: AssetValues) -> Iterator[Fault]:
    if not values.name:
        yield Fault("name", "Enter the asset’s name")
    for field in fields_of_type(FieldType.LINE, FieldType.TEXT):
        limit = field.limit
        if limit and len(getattr(values, field.name) or "") > limit:
            sentence = f"Enter at most {limit:,} characters for the {field.in_sentence}"
            yield Fault(field.name, sentence)


def _of_tag(values: AssetValues) -> Iterator[Fault]:
    tag = values.asset_tag
    if tag and len(tag) <= LENGTHS["asset_tag"] and not TAG.fullmatch(tag):
        allowed = "Enter a tag with only unaccented letters, digits, and . _ / -"
        yield Fault("asset_tag", allowed)


def _of_choices(values: AssetValues) -> Iterator[Fault]:
    if values.kind not in set(AssetKind):
        yield Fault("kind", "Choose single item or consumable")
    for field in fields_of_type(FieldType.CHOICE):
        if field.name != "kind" and getattr(values, field.name) not in field.choices:
            yield Fault(field.name, f"Choose the {field.in_sentence} from the list")


def _of_money(values: AssetValues) -> Iterator[Fault]:
    for field in fields_of_type(FieldType.MONEY):
        amount: Decimal | None = getattr(values, field.name)
        if amount is None:
            continue
        if not (amount.is_finite() and 0 <= amount <= DEAREST):
            yield Fault(field.name, f"Enter a {field.in_sentence} from 0 to {DEAREST:,}")
        elif amount != round(amount, 2):
            yield Fault(field.name, f"Enter the {field.in_sentence} with at most 2 decimals")


def _of_days(values: AssetValues) -> Iterator[Fault]:
    for field in fields_of_type(FieldType.DAY):
        day: date | None = getattr(values, field.name)
        if day and not is_in_calendar(day):
            yield Fault(field.name, f"Enter the {field.in_sentence} as a day {IN_CALENDAR}")
    bought, ends = values.purchase_date, values.warranty_expires
    if bought and ends and ends < bought:
        yield Fault("warranty_expires", "Enter a date on or after the purchase date")


def _of_counts(values: AssetValues) -> Iterator[Fault]:
    if values.kind == AssetKind.STOCK and values.quantity is None:
        yield Fault("quantity", "Enter the quantity")
    for field in fields_of_type(FieldType.COUNT):
        number: int | None = getattr(values, field.name)
        if number is not None and not 0 <= number <= MOST_IN_STOCK:
            yield Fault(field.name, f"Enter a number from 0 to {MOST_IN_STOCK:,}")
